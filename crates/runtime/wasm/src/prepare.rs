//! What is done to a module before it is compiled, so that its instances are cheap and its state is its memory.
//!
//! - Active data segments are taken out: they are in the first image, and no instance writes them again.
//! - The start function is exported instead of run: it, too, ran before the first image.
//! - Mutable globals are exported, so that every evaluation starts from the same ones.
//! - Metered formats get their metering; in the others operators are counted, and they are kept awake.

use std::collections::BTreeMap;

use wasm_encoder::{
    BranchHint, BranchHints, Encode as _, ExportSection, GlobalSection, GlobalType, RawSection,
};
use wasmparser::{Operator, Parser, Payload, TypeRef, ValType, WasmFeatures};

use crate::Options;
use crate::awake::state_of;
use crate::body::Body;
use crate::calls::Calls;
use crate::counting::Counter;
use crate::format::{Format, Width};
use crate::inline::{self, Inliner, Signature};
use crate::known::fold;
use crate::metering::{Unmetered, inline_body, meter_body};
use crate::narrow::{self, narrow};

/// Version of this rewriting: compiled modules of another one are not ours.
pub(crate) const VERSION: u32 = 7;

/// What the names of our own exports begin with.
const OURS: &str = "pirn:";
/// Name of the export of the global that counts gas in a metered module: used, minus the limit.
pub(crate) const GAS: &str = "pirn:gas";
/// Name of the export of the global that counts operators in every other module: used, minus the limit.
pub(crate) const OPERATORS: &str = "pirn:operators";
/// Name of the export of the start function.
pub(crate) const START: &str = "pirn:start";
/// Name of the export of a mutable global, before its number.
const GLOBAL: &str = "pirn:global:";

/// Mutable globals that a module may have: each is set before every message.
const GLOBALS_MAX: u32 = 256;

/// A module, ready to be compiled.
pub(crate) struct Prepared {
    /// The rewritten module.
    pub bytes: Vec<u8>,
    /// What the data segments hold: offset in memory, bytes.
    pub data: Vec<(u64, Vec<u8>)>,
    /// What the caller has to know of it.
    pub shape: Shape,
}

/// What a module is like.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Shape {
    /// Exports of its mutable globals.
    pub globals: Vec<String>,
    /// Whether it counts gas itself: by its format, or because it was built that way.
    pub counts_gas: bool,
    /// Whether tables or segments may change: such a module gets a new instance for every message.
    pub has_other_state: bool,
    /// Memory is addressed with 64 bits.
    pub wide: bool,
    /// It could put its stack aside, but never will.
    pub is_awake: bool,
}

impl Shape {
    /// Width of a pointer.
    pub fn pointers(&self) -> Width {
        if self.wide { Width::W64 } else { Width::W32 }
    }
}

/// Why a module is not prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it is not a WebAssembly module: {0}")]
    Malformed(#[from] wasmparser::BinaryReaderError),
    #[error("{0}")]
    Shape(&'static str),
    #[error("it cannot be metered: {0}")]
    Metering(#[from] Unmetered),
    #[error("{what} has more than {max} operators (whoever runs the node sets wasm.{option})")]
    TooLarge {
        /// What of it.
        what: String,
        max: u64,
        /// The name of the bound.
        option: &'static str,
    },
}

/// Refuses a module of more operators than are accepted. One of a byte becomes eighty bytes while its function is
/// rewritten, and each target of a jump table counts as one more. Answers how many it has.
fn count_operators(module: &[u8], options: &Options) -> Result<u64, Unfit> {
    let (mut all, mut function) = (0u64, 0u64);
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        let mut here = 0u64;
        for operator in body.get_operators_reader()? {
            here += match operator? {
                Operator::BrTable { targets } => 1 + u64::from(targets.len()),
                _ => 1,
            };
            let max = options.function_operators_max;
            if here > max {
                let what = format!("its function {function}, not counting imported ones,");
                return Err(Unfit::TooLarge { what, max, option: "function_operators_max" });
            }
        }
        all += here;
        let max = options.operators_max;
        if all > max {
            return Err(Unfit::TooLarge { what: "it".to_owned(), max, option: "operators_max" });
        }
        function += 1;
    }
    Ok(all)
}

/// What a module may be made of: WebAssembly 2.0 and memories of 64 bits.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2 | WasmFeatures::MEMORY64 | WasmFeatures::EXTENDED_CONST
}

/// Rewrites a module of `format`. If it may sleep, it is not kept awake.
pub(crate) fn prepare(
    module: &[u8],
    format: Format,
    sleeps: bool,
    options: &Options,
) -> Result<Prepared, Unfit> {
    // Before anything is made of it that is larger than it is.
    let n_operators = count_operators(module, options)?;
    // Before anything is added that a module could otherwise name.
    wasmparser::Validator::new_with_features(features()).validate_all(module)?;
    let survey = Survey::of(module)?;
    let baked = survey.usegas.is_some();
    if format.metered && baked {
        return Err(Unfit::Shape("it is metered already, and its format asks to meter it"));
    }
    let counts_gas = format.metered || baked;
    // What sleep costs is part of the gas that the reference states.
    let state = if counts_gas || sleeps { None } else { state_of(module)? };
    let narrows = !format.metered && survey.narrows;
    let gas_global = survey.n_globals_imported + survey.n_globals;
    let operators_global = gas_global + u32::from(counts_gas);

    let mut inliner = Inliner::new(n_operators);
    if !counts_gas {
        survey.find_small(module, state, &mut inliner)?;
    }

    let mut sections: BTreeMap<u8, (u8, Vec<u8>)> = BTreeMap::new();
    let mut data = Vec::new();
    let mut code = Vec::new();
    let mut hints = BranchHints::new();
    let mut n_bodies = 0u32;
    let mut has_other_state = false;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CodeSectionEntry(body) = &payload {
            has_other_state |= changes_other_state(body)?;
            let mut whole = Vec::with_capacity(body.as_bytes().len() * 2);
            if format.metered {
                meter_body(body, gas_global, &mut whole)?;
            } else {
                let (n_params, results) = survey.shape_of(n_bodies)?;
                let mut inlined = Vec::new();
                let body = match survey.usegas {
                    Some(usegas) => {
                        inline_body(body, usegas, gas_global, &mut inlined)?;
                        &rewritten(&inlined)
                    }
                    None => body,
                };
                let mut body = Body::read(body, n_params)?;
                if let Some(state) = state {
                    fold(&mut body, state);
                }
                inliner.inline(&mut body);
                if narrows {
                    narrow(&mut body)?;
                }
                let counter = Counter {
                    calls: &survey.calls,
                    function: n_bodies,
                    results,
                    over: operators_global,
                    wide: survey.wide,
                };
                let unlikely = counter.count_body(body, &mut whole)?;
                if !unlikely.is_empty() {
                    let hint = |at: &u32| BranchHint { branch_func_offset: *at, branch_hint_value: 0 };
                    hints.function_hints(survey.n_functions_imported + n_bodies, unlikely.iter().map(hint));
                }
            }
            whole.encode(&mut code);
            n_bodies += 1;
            continue;
        }
        if let Payload::DataSection(reader) = payload {
            let (section, segments) = take_data(reader)?;
            sections.insert(order(11), (11, section));
            data = segments;
            continue;
        }
        if let (Payload::MemorySection(reader), true) = (&payload, narrows) {
            sections.insert(order(5), (5, narrowed(reader.clone())?));
            continue;
        }
        // The start function is exported; custom sections say nothing to a machine.
        if let Some((id @ (1..=7 | 9 | 12 | 13), range)) = payload.as_section() {
            sections.insert(order(id), (id, module[range].to_vec()));
        }
    }
    if n_bodies > 0 {
        let mut section = Vec::with_capacity(code.len() + 5);
        n_bodies.encode(&mut section);
        section.extend_from_slice(&code);
        sections.insert(order(10), (10, section));
    }

    let mut exports = ExportSection::new();
    let mut globals = Vec::new();
    for index in &survey.mutable_globals {
        let name = format!("{GLOBAL}{index}");
        exports.export(&name, wasm_encoder::ExportKind::Global, *index);
        globals.push(name);
    }
    if let Some(start) = survey.start {
        exports.export(START, wasm_encoder::ExportKind::Func, start);
    }
    let counts_operators = !format.metered;
    for (name, index) in
        [(GAS, counts_gas.then_some(gas_global)), (OPERATORS, counts_operators.then_some(operators_global))]
    {
        let Some(index) = index else { continue };
        exports.export(name, wasm_encoder::ExportKind::Global, index);
        let mut section = GlobalSection::new();
        let ty = GlobalType { val_type: wasm_encoder::ValType::I64, mutable: true, shared: false };
        section.global(ty, &wasm_encoder::ConstExpr::i64_const(0));
        append(&mut sections, 6, &section)?;
    }
    append(&mut sections, 7, &exports)?;

    let mut out = wasm_encoder::Module::new();
    for (id, data) in sections.values() {
        if *id == 10 && !hints.is_empty() {
            out.section(&hints);
        }
        out.section(&RawSection { id: *id, data });
    }
    let shape = Shape { globals, counts_gas, has_other_state, wide: survey.wide, is_awake: state.is_some() };
    Ok(Prepared { bytes: out.finish(), data, shape })
}

/// A body that was written by us.
fn rewritten(bytes: &[u8]) -> wasmparser::FunctionBody<'_> {
    wasmparser::FunctionBody::new(wasmparser::BinaryReader::new(bytes, 0))
}

/// Place of a section in a module: the data count stands before the code, tags before the globals.
fn order(id: u8) -> u8 {
    match id {
        1..=5 => id * 2,
        13 => 11,
        6..=9 => id * 2,
        12 => 19,
        _ => id * 2,
    }
}

/// Adds the entries of `more` to the section `id`.
fn append(
    sections: &mut BTreeMap<u8, (u8, Vec<u8>)>,
    id: u8,
    more: &impl wasm_encoder::Encode,
) -> Result<(), Unfit> {
    // A section is its count, then its entries.
    let content = content_of(more)?;
    let mut reader = wasmparser::BinaryReader::new(&content, 0);
    let n_more = reader.read_var_u32()?;
    let entries = &content[reader.original_position()..];
    let old = sections.remove(&order(id)).map_or_else(|| vec![0], |(_, bytes)| bytes);
    let mut reader = wasmparser::BinaryReader::new(&old, 0);
    let n_old = reader.read_var_u32()?;
    let mut section = Vec::with_capacity(old.len() + entries.len() + 5);
    n_old
        .checked_add(n_more)
        .ok_or(Unfit::Shape("it has too many entries in a section"))?
        .encode(&mut section);
    section.extend_from_slice(&old[reader.original_position()..]);
    section.extend_from_slice(entries);
    sections.insert(order(id), (id, section));
    Ok(())
}

/// The memory section, with addresses of 32 bits.
fn narrowed(reader: wasmparser::MemorySectionReader<'_>) -> Result<Vec<u8>, Unfit> {
    let mut section = wasm_encoder::MemorySection::new();
    for memory in reader {
        let wasmparser::MemoryType { initial: minimum, maximum, shared, page_size_log2, .. } = memory?;
        section.memory(wasm_encoder::MemoryType {
            minimum,
            maximum,
            memory64: false,
            shared,
            page_size_log2,
        });
    }
    content_of(&section)
}

/// A section without its size.
fn content_of(section: &impl wasm_encoder::Encode) -> Result<Vec<u8>, Unfit> {
    let mut encoded = Vec::new();
    section.encode(&mut encoded);
    let mut reader = wasmparser::BinaryReader::new(&encoded, 0);
    reader.read_var_u32()?;
    Ok(encoded[reader.original_position()..].to_vec())
}

/// Where a segment goes, and its bytes.
type Segments = Vec<(u64, Vec<u8>)>;

/// Takes the active segments out of a data section. What remains keeps their numbers.
fn take_data(reader: wasmparser::DataSectionReader<'_>) -> Result<(Vec<u8>, Segments), Unfit> {
    let mut section = wasm_encoder::DataSection::new();
    let mut segments = Vec::new();
    for segment in reader {
        let segment = segment?;
        match segment.kind {
            wasmparser::DataKind::Passive => {
                section.passive(segment.data.iter().copied());
            }
            wasmparser::DataKind::Active { offset_expr, .. } => {
                segments.push((constant(&offset_expr)?, segment.data.to_vec()));
                section.passive([]);
            }
        }
    }
    Ok((content_of(&section)?, segments))
}

fn constant(expr: &wasmparser::ConstExpr<'_>) -> Result<u64, Unfit> {
    let mut operators = expr.get_operators_reader();
    let value = match operators.read()? {
        Operator::I32Const { value } => u64::from(value as u32),
        Operator::I64Const { value } => value as u64,
        _ => return Err(Unfit::Shape("a data segment's place is not a constant")),
    };
    match operators.read()? {
        Operator::End => Ok(value),
        _ => Err(Unfit::Shape("a data segment's place is not a constant")),
    }
}

fn changes_other_state(body: &wasmparser::FunctionBody<'_>) -> Result<bool, Unfit> {
    use Operator as O;
    for operator in body.get_operators_reader()? {
        if matches!(
            operator?,
            O::TableSet { .. }
                | O::TableGrow { .. }
                | O::TableFill { .. }
                | O::TableCopy { .. }
                | O::TableInit { .. }
                | O::ElemDrop { .. }
                | O::DataDrop { .. }
        ) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What has to be known of a module before it is rewritten.
#[derive(Default)]
struct Survey {
    n_functions_imported: u32,
    n_globals_imported: u32,
    n_globals: u32,
    /// Parameters and results of each type, and the type of each function of its own.
    types: Vec<(u32, usize)>,
    /// The same types, if numbers are all they have.
    signatures: Vec<Option<Signature>>,
    functions: Vec<u32>,
    mutable_globals: Vec<u32>,
    start: Option<u32>,
    usegas: Option<u32>,
    wide: bool,
    /// Its memory is addressed with 64 bits, and need not be.
    narrows: bool,
    calls: Calls,
}

impl Survey {
    fn of(module: &[u8]) -> Result<Survey, Unfit> {
        let mut survey = Survey::default();
        let mut n_memories = 0;
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(reader) => {
                    for ty in reader.into_iter_err_on_gc_types() {
                        let ty = ty?;
                        survey.types.push((ty.params().len() as u32, ty.results().len()));
                        survey.signatures.push(Signature::of(&ty));
                    }
                }
                Payload::FunctionSection(reader) => {
                    for ty in reader {
                        survey.functions.push(ty?);
                    }
                }
                Payload::TableSection(reader) => {
                    for table in reader {
                        if table?.ty.table64 {
                            return Err(Unfit::Shape("a table is addressed with 64 bits"));
                        }
                    }
                }
                Payload::ImportSection(reader) => {
                    for import in reader.into_imports() {
                        survey.import(&import?)?;
                    }
                }
                Payload::MemorySection(reader) => {
                    for memory in reader {
                        let memory = memory?;
                        if memory.shared || memory.page_size_log2.is_some() {
                            return Err(Unfit::Shape("its memory is shared, or has pages of another size"));
                        }
                        n_memories += 1;
                        survey.wide = memory.memory64;
                        survey.narrows =
                            memory.memory64 && memory.maximum.is_some_and(|pages| pages <= narrow::PAGES_MAX);
                    }
                }
                Payload::GlobalSection(reader) => {
                    for global in reader {
                        let ty = global?.ty;
                        if ty.mutable {
                            if matches!(ty.content_type, ValType::Ref(_)) {
                                return Err(Unfit::Shape("a mutable global holds a reference"));
                            }
                            survey.mutable_globals.push(survey.n_globals_imported + survey.n_globals);
                        }
                        survey.n_globals += 1;
                    }
                }
                Payload::ExportSection(reader) => {
                    for export in reader {
                        if export?.name.starts_with(OURS) {
                            return Err(Unfit::Shape("it exports a name that begins with pirn:"));
                        }
                    }
                }
                Payload::StartSection { func, .. } => survey.start = Some(func),
                Payload::CodeSectionStart { .. } => survey.calls = Calls::new(survey.n_functions_imported),
                Payload::CodeSectionEntry(body) => survey.calls.add(&body)?,
                _ => {}
            }
        }
        survey.calls.decide();
        if n_memories != 1 {
            return Err(Unfit::Shape("it does not have one memory of its own"));
        }
        if survey.mutable_globals.len() > GLOBALS_MAX as usize {
            return Err(Unfit::Shape("it has too many mutable globals"));
        }
        Ok(survey)
    }

    /// How many parameters and results its function of that number has, not counting imported ones.
    fn shape_of(&self, function: u32) -> Result<(u32, usize), Unfit> {
        let ty = self.functions.get(function as usize);
        let shape = ty.and_then(|ty| self.types.get(*ty as usize));
        shape.copied().ok_or(Unfit::Shape("a function has no type"))
    }

    /// Gives `inliner` the functions of the module, in which the global `state` is 0 for ever.
    fn find_small<'a>(
        &self,
        module: &'a [u8],
        state: Option<u32>,
        inliner: &mut Inliner<'a>,
    ) -> Result<(), Unfit> {
        let mut bodies = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::CodeSectionEntry(body) = payload? {
                bodies.push(body);
            }
        }
        for at in self.calls.order() {
            let Some(body) = bodies.get(*at as usize).filter(|_| !self.calls.looks(*at)) else { continue };
            let ty = self.functions.get(*at as usize).map(|ty| *ty as usize);
            let Some(Some(signature)) = ty.and_then(|ty| self.signatures.get(ty)) else { continue };
            if body.as_bytes().len() > inline::BYTES_MAX {
                continue;
            }
            let mut body = Body::read(body, signature.params.len() as u32)?;
            if let Some(state) = state {
                fold(&mut body, state);
            }
            inliner.add(self.n_functions_imported + at, signature, body);
        }
        Ok(())
    }

    fn import(&mut self, import: &wasmparser::Import<'_>) -> Result<(), Unfit> {
        match import.ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                if (import.module, import.name) == ("metering", "usegas") {
                    self.usegas = Some(self.n_functions_imported);
                }
                self.n_functions_imported += 1;
                Ok(())
            }
            TypeRef::Global(_) => Err(Unfit::Shape("it imports a global")),
            TypeRef::Memory(_) => Err(Unfit::Shape("it imports its memory")),
            TypeRef::Table(_) => Err(Unfit::Shape("it imports a table")),
            TypeRef::Tag(_) => Err(Unfit::Shape("it imports a tag")),
        }
    }
}

#[cfg(test)]
mod tests;
