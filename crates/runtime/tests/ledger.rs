//! A machine whose state is no linear memory passes the suite of machines: accounts, of which a message commits those
//! that changed. It is what a machine of the EVM or the SVM will be like, without their instructions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use pirn_runtime::suite::{Subject, check_machines};
use pirn_runtime::{
    GAS_SCHEDULE, Input, Limits, Machine, Memory, PAGE_BYTES, Pages, Program, Refusal, Runtime, Start,
};
use protocol::{Digest, Id, Json, Module, Outcome, Tags};

/// Accounts lie in pages by their number, so that one that changes changes one page.
const ACCOUNTS_PER_PAGE: u64 = 16;
const RECORD_BYTES: usize = PAGE_BYTES / ACCOUNTS_PER_PAGE as usize;
/// Accounts that there can be.
const ACCOUNTS_MAX: u64 = 1 << 16;
const SIZE_BYTES: u64 = ACCOUNTS_MAX / ACCOUNTS_PER_PAGE * PAGE_BYTES as u64;
/// Gas of an instruction.
const GAS: u64 = 1000;
/// Changes that are kept beside the accounts before they are written into them: a fork copies no more than these.
const BESIDE_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Account {
    balance: u64,
    nonce: u64,
}

/// What a message does to accounts, before it is known to succeed.
type Diff = BTreeMap<u64, Account>;

struct Ledgers;
struct Compiled;

struct Ledger {
    limits: Limits,
    /// Shared with forks.
    accounts: Arc<BTreeMap<u64, Account>>,
    /// Newer than those.
    beside: Diff,
    /// The tree of the state root, and the pages whose accounts changed since it was asked for.
    pages: Pages,
    stale: BTreeSet<u64>,
}

enum Stop {
    OutOfGas,
    OutOfMemory,
    Failed,
}

impl Runtime for Ledgers {
    fn runs(&self, format: &str) -> bool {
        format == "ledger-1"
    }

    fn load(&self, _: &Module) -> Result<Arc<dyn Program>, Refusal> {
        Ok(Arc::new(Compiled))
    }
}

impl Program for Compiled {
    fn start(&self, start: Start) -> Result<Box<dyn Machine>, Refusal> {
        let mut ledger = Ledger {
            limits: start.limits,
            accounts: Arc::default(),
            beside: Diff::new(),
            pages: Pages::default(),
            stale: BTreeSet::new(),
        };
        if let Some(memory) = start.memory {
            if memory.size_bytes > start.limits.memory_bytes {
                return Err(Refusal::Memory { why: "it has more bytes than its limit".to_owned() });
            }
            ledger.read(&memory);
        }
        Ok(Box::new(ledger))
    }
}

impl Ledger {
    fn account(&self, diff: &Diff, number: u64) -> Account {
        let newest = diff.get(&number).or_else(|| self.beside.get(&number));
        newest.or_else(|| self.accounts.get(&number)).copied().unwrap_or_default()
    }

    /// The accounts that a message leaves, and what it shows.
    fn evaluate(&self, ask: &str, gas: &mut u64) -> Result<(Diff, u64), Stop> {
        let mut diff = Diff::new();
        let mut step = || {
            *gas += GAS;
            if *gas > self.limits.compute { Err(Stop::OutOfGas) } else { Ok(()) }
        };
        step()?;
        let (what, digit) = ask.split_at(1);
        match what {
            "c" => {
                // The account that changes depends on all changes before.
                let clerk = self.account(&diff, 0);
                let digit: u64 = digit.parse().map_err(|_| Stop::Failed)?;
                let mixed = (clerk.balance ^ digit).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
                diff.insert(0, Account { balance: mixed, nonce: clerk.nonce + 1 });
                step()?;
                let number = 1 + mixed % (ACCOUNTS_MAX - 1);
                let account = self.account(&diff, number);
                diff.insert(number, Account { balance: account.balance + digit, nonce: account.nonce + 1 });
            }
            "s" => {
                let clerk = self.account(&diff, 0);
                return Ok((diff, clerk.balance ^ clerk.nonce));
            }
            "f" => {
                diff.insert(0, Account::default());
                return Err(Stop::Failed);
            }
            "m" => return Err(Stop::OutOfMemory),
            _ => loop {
                let clerk = self.account(&diff, 0);
                diff.insert(0, Account { nonce: clerk.nonce + 1, ..clerk });
                step()?;
            },
        }
        Ok((diff, 0))
    }

    fn commit(&mut self, diff: Diff) {
        self.stale.extend(diff.keys().map(|number| number / ACCOUNTS_PER_PAGE));
        self.beside.extend(diff);
        if self.beside.len() > BESIDE_MAX {
            Arc::make_mut(&mut self.accounts).extend(std::mem::take(&mut self.beside));
        }
    }

    fn page(&self, index: u64) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES];
        let first = index * ACCOUNTS_PER_PAGE;
        let numbers = first..first + ACCOUNTS_PER_PAGE;
        let older = self.accounts.range(numbers.clone());
        for (number, Account { balance, nonce }) in older.chain(self.beside.range(numbers)) {
            let record = &mut page[(number - first) as usize * RECORD_BYTES..];
            record[..8].copy_from_slice(&balance.to_le_bytes());
            record[8..16].copy_from_slice(&nonce.to_le_bytes());
        }
        page
    }

    fn read(&mut self, memory: &Memory) {
        let mut accounts = BTreeMap::new();
        for (index, page) in &memory.pages {
            for (at, record) in page.chunks(RECORD_BYTES).enumerate() {
                let number =
                    |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
                let account = Account { balance: number(0), nonce: number(8) };
                if account != Account::default() {
                    accounts.insert(index * ACCOUNTS_PER_PAGE + at as u64, account);
                }
            }
            self.stale.insert(*index);
        }
        self.accounts = Arc::new(accounts);
    }
}

impl Machine for Ledger {
    fn handle(&mut self, input: &Input) -> Result<Outcome, Refusal> {
        let ask: String = serde_json::from_str(input.data.as_ref().expect("data").get()).expect("a text");
        let mut gas = 0;
        let evaluated = self.evaluate(&ask, &mut gas);
        let failed = |why| Ok(Outcome::failed(why, gas, GAS_SCHEDULE));
        match evaluated {
            Ok((diff, shows)) => {
                self.commit(diff);
                let output = Json::string(&shows.to_string());
                Ok(Outcome {
                    output,
                    error: None,
                    memory_bytes: SIZE_BYTES,
                    ..Outcome::failed("", gas, GAS_SCHEDULE)
                })
            }
            Err(Stop::OutOfGas) => failed("out of gas"),
            Err(Stop::OutOfMemory) => failed("out of memory"),
            Err(Stop::Failed) => failed("failed"),
        }
    }

    fn fork(&mut self) -> Result<Box<dyn Machine>, Refusal> {
        let (accounts, beside) = (Arc::clone(&self.accounts), self.beside.clone());
        let (pages, stale) = (self.pages.clone(), self.stale.clone());
        Ok(Box::new(Ledger { limits: self.limits, accounts, beside, pages, stale }))
    }

    fn memory(&mut self) -> Result<Memory, Refusal> {
        let numbers = self.accounts.keys().chain(self.beside.keys());
        let indices: BTreeSet<u64> = numbers.map(|number| number / ACCOUNTS_PER_PAGE).collect();
        let pages = indices.into_iter().map(|index| (index, Bytes::from(self.page(index)))).collect();
        Ok(Memory { size_bytes: SIZE_BYTES, pages })
    }

    fn root(&mut self) -> Result<Digest, Refusal> {
        for index in std::mem::take(&mut self.stale) {
            let page = self.page(index);
            self.pages.set(index, &page);
        }
        Ok(self.pages.root(SIZE_BYTES))
    }

    fn resident_bytes(&self) -> u64 {
        ((self.accounts.len() + self.beside.len()) * size_of::<(u64, Account)>()) as u64
    }
}

#[test]
fn a_machine_of_accounts_passes_the_suite() {
    let id = Id([7; 32]);
    let tags = Tags::from_iter([("Module-Format", "ledger-1")]);
    check_machines(&Subject {
        runtime: Arc::new(Ledgers),
        module: Module { id: id.into(), owner: id.into(), tags, data: Bytes::new() },
        limits: Limits { memory_bytes: SIZE_BYTES, compute: 1_000_000_000 },
    });
}
