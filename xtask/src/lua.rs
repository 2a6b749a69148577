//! `cargo xtask lua`: builds the Lua module, and says whether the committed one is what its sources make.
//!
//! Lua itself is not in this repository: its sources are those of the package `lua-src`, whose hash `Cargo.lock` has.
//! The compiler is Debian's, because bytes are compared: another version makes other bytes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, bail};
use cargo_metadata::MetadataCommand;

/// What to install to build the module.
pub const PACKAGES: &[&str] = &["clang-19", "lld-19", "wasi-libc", "libclang-rt-19-dev-wasm32"];

const COMPILER: &str = "clang-19";
const LINKER: &str = "wasm-ld-19";

/// The files of Lua that the module has: no `liolib.c`, as there are no files.
const LUA: &[&str] = &[
    "lapi", "lcode", "lctype", "ldebug", "ldo", "ldump", "lfunc", "lgc", "llex", "lmem", "lobject",
    "lopcodes", "lparser", "lstate", "lstring", "ltable", "ltm", "lundump", "lvm", "lzio", "lauxlib",
    "lbaselib", "lbitlib", "lcorolib", "ldblib", "lmathlib", "loslib", "lstrlib", "ltablib", "lutf8lib",
    "loadlib",
];

/// Our files.
const OURS: &[&str] = &["host", "json", "machine"];

/// Bytes of the stack of C: half of what the largest message may have, and what Lua needs.
const STACK_BYTES: u32 = 16 << 20;

/// Exports that our C does not declare itself.
const EXPORTS: &[&str] = &[
    "__wasm_call_ctors",
    "malloc",
    "free",
    "emscripten_stack_get_current",
    "_emscripten_stack_restore",
    "_emscripten_stack_alloc",
];

/// What a build came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// The committed module is what its sources make.
    Same,
    /// It is not.
    Different,
    /// It was not, and has been written.
    Written,
}

/// True if the compiler and the linker are there.
pub fn is_installed() -> bool {
    [COMPILER, LINKER].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok())
}

/// What to do where they are not.
pub fn how_to_install() -> String {
    format!("{COMPILER} or {LINKER} is missing: apt-get install {}", PACKAGES.join(" "))
}

/// Builds the module; compares it with the committed one, or replaces that.
pub fn run(update: bool) -> anyhow::Result<Built> {
    if !is_installed() {
        bail!(how_to_install());
    }
    let root = crate::root();
    let committed = root.join("crates/runtime/lua/pirn-lua.wasm");
    let built = build(root)?;
    println!("built the Lua module: {} bytes", built.len());
    if fs::read(&committed).is_ok_and(|bytes| bytes == built) {
        return Ok(Built::Same);
    }
    if !update {
        return Ok(Built::Different);
    }
    fs::write(&committed, built).context("could not write the module")?;
    Ok(Built::Written)
}

fn build(root: &Path) -> anyhow::Result<Vec<u8>> {
    let (lua, target) = places(root)?;
    let folder = target.join("lua");
    fs::create_dir_all(&folder).context("could not make a folder for the objects")?;
    let c = root.join("crates/runtime/lua/c");
    let sources = folder.join("sources.c");
    fs::write(&sources, boot_sources(&root.join("processes/boot"))?)?;

    let mut objects = Vec::new();
    let mut compile = |source: PathBuf, is_ours: bool| -> anyhow::Result<()> {
        let name = source.file_stem().context("a source without a name")?.to_string_lossy().into_owned();
        let object = folder.join(format!("{name}.o"));
        let mut command = Command::new(COMPILER);
        command.args([
            "--target=wasm32-wasi",
            "-D_WASI_EMULATED_SIGNAL",
            "-O2",
            "-std=c99",
            "-fno-strict-aliasing",
        ]);
        command.args(["-mno-bulk-memory", "-DLUA_COMPAT_5_2", "-include"]).arg(c.join("conf.h"));
        command.arg("-I").arg(&c).arg("-I").arg(&lua);
        command.args(if is_ours { &["-Wall", "-Wextra", "-Werror"][..] } else { &["-w"] });
        // A path in the module would make it another module on another computer.
        for (path, name) in [(&lua, "lua"), (&c, "c"), (&folder, "lua")] {
            command.arg(format!("-ffile-prefix-map={}={name}", path.display()));
        }
        command.arg("-c").arg(&source).arg("-o").arg(&object);
        succeed(&format!("compile {name}"), command.status())?;
        objects.push(object);
        Ok(())
    };
    for name in LUA {
        compile(lua.join(format!("{name}.c")), false)?;
    }
    for name in OURS {
        compile(c.join(format!("{name}.c")), true)?;
    }
    compile(sources, false)?;
    let stack = folder.join("stack.o");
    let mut assemble = Command::new(COMPILER);
    assemble.args(["--target=wasm32-wasi", "-c"]).arg(c.join("stack.s")).arg("-o").arg(&stack);
    succeed("assemble stack", assemble.status())?;
    objects.push(stack);

    let module = folder.join("pirn-lua.wasm");
    let mut link = Command::new(LINKER);
    link.args(["--no-entry", "--stack-first", "--gc-sections", "--strip-all", "--export-table"]);
    link.args(["-z", &format!("stack-size={STACK_BYTES}"), "--max-memory=4294967296"]);
    link.args(EXPORTS.iter().map(|name| format!("--export={name}")));
    link.args(&objects).args(["-L", "/usr/lib/wasm32-wasi", "-lc"]).arg(builtins()?);
    link.arg("-o").arg(&module);
    succeed("link", link.status())?;
    fs::read(&module).context("could not read the module")
}

/// Where Lua's sources are, and where to build.
fn places(root: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .exec()
        .context("could not ask cargo where the sources of Lua are")?;
    let package = metadata.packages.iter().find(|package| *package.name == "lua-src");
    let manifest = &package.context("lua-src is no dependency of this workspace")?.manifest_path;
    let lua = manifest.parent().context("a manifest without a folder")?.join("lua-5.3.6");
    Ok((lua.into(), metadata.target_directory.into()))
}

/// The runtime of the compiler, for what WebAssembly has no instruction for.
fn builtins() -> anyhow::Result<PathBuf> {
    let output = Command::new(COMPILER).arg("-print-resource-dir").output()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(folder.join("lib/wasi/libclang_rt.builtins-wasm32.a"))
}

fn succeed(what: &str, status: std::io::Result<ExitStatus>) -> anyhow::Result<()> {
    let status = status.with_context(|| format!("could not {what}"))?;
    if !status.success() {
        bail!("could not {what}: {status}");
    }
    Ok(())
}

/// The files of the boot library as C, in the order of their names.
fn boot_sources(folder: &Path) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).context("could not list the boot library")? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "lua"));
    files.sort();
    let (mut arrays, mut table) = (String::from("#include \"machine.h\"\n"), String::new());
    for (at, file) in files.iter().enumerate() {
        let name = file.file_stem().context("a file without a name")?.to_string_lossy();
        let bytes = fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
        write!(arrays, "static const char file{at}[] = {{")?;
        for byte in bytes {
            write!(arrays, "{byte},")?;
        }
        arrays.push_str("};\n");
        writeln!(table, "{{\"{name}\", file{at}, sizeof file{at}}},")?;
    }
    Ok(format!(
        "{arrays}const struct source pirn_sources[] = {{\n{table}}};\n\
         const size_t pirn_n_sources = sizeof pirn_sources / sizeof *pirn_sources;\n"
    ))
}
