//! What comes from outside: checked, written down and given its slot before the sender hears of it.

use std::sync::Arc;
use std::time::Duration;

use protocol::{DataItem, Id, ProcessId, SignatureType, tag};
use tokio::time::Instant;
use unit::{
    AssignRequest, Code, Error, Happened, Kind, Novelty, Placed, Receipt, Result, Scheduled, told_text,
};

use crate::doubts::{Asker, UnderWay, may_be_done};
use crate::step::Step;
use crate::task::{Chain, Work};
use crate::{Unit, internal};

/// Beyond that many bytes a hash takes longer than handing it to another thread.
const HASHED_INLINE: usize = 32 << 10;

impl Unit {
    /// Accepts a signed item, whose bytes are never altered.
    pub(crate) async fn receive(self: &Arc<Self>, item: DataItem) -> Result<Receipt> {
        let item = self.verified(item).await?;
        let process = check(&item)?;
        let chain = self.head_of_chain(item.id, Some(&item));
        let mut step = Step::at(self.now());
        let first =
            step.promise(Work::Push { process, message: item.id, only: None }, chain.clone(), None, None);
        if let (true, Some(target)) = (process == item.id.into(), item.target) {
            // A process that is sent to somebody is assigned to him as well.
            let request = AssignRequest {
                process: target.into(),
                message: item.id,
                base_layer: false,
                exclude: vec![],
            };
            step.promise(Work::Assign(request), chain, None, Some(first));
        }

        // The store writes batches in order, so ours is durable if the schedule's is: one flush may cover both.
        let (claim, written) = self.queue.claim(step);
        let under_way = self.doubts.begin(process);
        let (written, scheduled) = futures::join!(written, self.schedule(&item));
        self.answered(&under_way, item.id, Asker::Client, scheduled.as_ref().err());
        written.map_err(internal)?;
        let mut tasks = claim.take();
        match scheduled {
            Ok(scheduled) => {
                let message = scheduled.message_id();
                self.push_claimed(tasks.remove(0), &scheduled, message);
                tasks.into_iter().for_each(|task| self.route(task));
                self.ports.events.tell(Some(process), || Happened::Received {
                    message: item.id,
                    from: Some(item.address()),
                    action: item.tags.first(tag::ACTION).map(told_text),
                });
                Ok(Receipt { id: item.id, novelty: scheduled.novelty })
            }
            Err(error) => {
                let mut step = Step::at(self.now());
                tasks.iter().for_each(|task| step.withdraw(task));
                self.queue.commit(step);
                self.receive_for_wallet(item, error).await
            }
        }
    }

    /// Has something assigned, and pushes what follows.
    pub(crate) async fn receive_assign(self: &Arc<Self>, request: AssignRequest) -> Result<Receipt> {
        let mut step = Step::at(self.now());
        step.promise(Work::Assign(request.clone()), self.head_of_chain(request.message, None), None, None);
        let (claim, written) = self.queue.claim(step);
        let (process, message) = (request.process, request.message);
        let under_way = self.doubts.begin(process);
        let (written, scheduled) = futures::join!(written, self.ports.scheduler.assign(request));
        self.answered(&under_way, message, Asker::Client, scheduled.as_ref().err());
        written.map_err(internal)?;
        let task = claim.take().remove(0);
        match scheduled {
            Ok(scheduled) => {
                let id = scheduled.assignment.id();
                self.push_claimed(task, &scheduled, id);
                let (process, message) = (scheduled.assignment.process, scheduled.message_id());
                let told = || Happened::Received { message, from: None, action: None };
                self.ports.events.tell(Some(process), told);
                Ok(Receipt { id, novelty: scheduled.novelty })
            }
            Err(error) => {
                let mut step = Step::at(self.now());
                step.withdraw(&task);
                self.queue.commit(step);
                Err(error)
            }
        }
    }

    /// Pushes what has its slot already; whoever had it pushed before had the same pushed.
    pub(crate) async fn receive_push(
        self: &Arc<Self>,
        process: ProcessId,
        message: Id,
        index: Option<usize>,
    ) -> Result<()> {
        let scheduled = self.find(process, message).await?;
        if let Some(index) = index {
            let outcome = self.ports.compute.result(process, message).await?;
            if index >= outcome.messages.len() {
                let n = outcome.messages.len();
                return Err(Error::invalid("message number does not exist in the result")
                    .with_hint(format!("the outcome of {message} has {n} messages, counted from 0")));
            }
        }
        self.push_found(process, &scheduled, message, index).await
    }

    /// Has pushed what has that slot, durably.
    pub(crate) async fn push_found(
        self: &Arc<Self>,
        process: ProcessId,
        scheduled: &Scheduled,
        message: Id,
        index: Option<usize>,
    ) -> Result<()> {
        let item = scheduled.message.as_deref();
        let mut chain = self.head_of_chain(scheduled.message_id(), None);
        chain.wallet = item.map(|item| item.address());
        if let Some(head) = item.and_then(|item| item.tags.first(tag::PUSHED_FOR)?.parse().ok()) {
            (chain.root, chain.pushed_for) = (head, Some(head));
        }
        let only = index.map(|index| index as u64);
        let mut step = Step::at(self.now());
        step.promise(Work::Push { process, message, only }, chain, None, None);
        let (claim, written) = self.queue.claim(step);
        written.await.map_err(internal)?;
        self.push_claimed(claim.take().remove(0), scheduled, message);
        Ok(())
    }

    /// The scheduler said what became of a message, or its answer was lost.
    pub(crate) fn answered(&self, question: &UnderWay<'_>, message: Id, asker: Asker, error: Option<&Error>) {
        match error {
            Some(error) if may_be_done(error.kind) => {
                let now = Instant::now();
                question.lost(message, asker, now, now + Duration::from_millis(self.options.order_wait_ms));
            }
            _ => question.known(message),
        }
    }

    /// The slot of an item; that which it has, if a scheduler says only that it has one.
    pub(crate) async fn schedule(&self, item: &DataItem) -> Result<Placed> {
        let scheduler = &self.ports.scheduler;
        match scheduler.schedule(item.clone()).await {
            Err(error) if error.kind == Kind::Conflict => {
                let process = item.target.filter(|_| item.kind() != Some("Process")).unwrap_or(item.id);
                let entry = scheduler.find(Some(process.into()), item.id).await.map_err(|_| error)?;
                Ok(Placed { entry, novelty: Novelty::Repeat })
            }
            answer => answer,
        }
    }

    /// The slot that something has in that process.
    pub(crate) async fn find(&self, process: ProcessId, message: Id) -> Result<Scheduled> {
        let scheduled = self.ports.scheduler.find(Some(process), message).await?;
        if scheduled.assignment.process != process {
            return Err(Error::not_found(format!("{message} has no slot in process {process}"))
                .with_code(Code::NOT_SCHEDULED));
        }
        Ok(scheduled)
    }

    /// An item that the scheduler declined is none for a process, if it is for a wallet.
    async fn receive_for_wallet(&self, item: DataItem, error: Error) -> Result<Receipt> {
        let Some(target) = item.target.filter(|_| item.kind() != Some("Process")) else { return Err(error) };
        let kind = error.kind;
        if !matches!(kind, Kind::NotFound | Kind::Invalid) || !self.is_unknown_process(target.into()).await? {
            return Err(error);
        }
        if !self.ports.weave.knows_wallet(target.into()).await? {
            return Err(Error::not_found(format!(
                "{target} is neither a process nor a wallet that is known here"
            ))
            .with_code(Code::UNKNOWN_PROCESS)
            .with_hint("check the id; a process is known once its scheduler has it"));
        }
        let id = item.id;
        // A weave that cannot say is no reason not to take it in.
        let is_there = self.ports.weave.get(id).await.is_ok();
        let novelty = if is_there { Novelty::Repeat } else { Novelty::First };
        self.ports.weave.upload(item).await?;
        Ok(Receipt { id, novelty })
    }

    /// Whether the scheduler does not have that process.
    pub(crate) async fn is_unknown_process(&self, process: ProcessId) -> Result<bool> {
        match self.ports.scheduler.process(process).await {
            Ok(_) => Ok(false),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Invalid) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// An item whose signature holds. RSA and long data are checked where they hold up nobody.
    pub(crate) async fn verified(&self, item: DataItem) -> Result<DataItem> {
        let n = item.bytes().len();
        if n > self.options.item_bytes_max {
            let max = self.options.item_bytes_max;
            return Err(Error::new(
                Kind::TooLarge,
                format!("{} has {n} bytes, at most {max} are taken", item.id),
            ));
        }
        let is_quick = item.signature_type != SignatureType::Arweave && n <= HASHED_INLINE;
        let verified = if is_quick {
            item.verify()
        } else {
            let item = item.clone();
            unit::blocking(move || item.verify()).await?
        };
        verified.map_err(|error| Error::invalid(error.to_string()).with_code(Code::SIGNATURE))?;
        Ok(item)
    }

    fn head_of_chain(&self, root: Id, item: Option<&DataItem>) -> Chain {
        Chain {
            root,
            pushed_for: Some(root),
            parent: None,
            sender: None,
            wallet: item.map(|item| item.address()),
            depth: 0,
            since: self.now(),
        }
    }
}

/// The process that an item is for, or that it is, if it is one that a messenger takes.
fn check(item: &DataItem) -> Result<ProcessId> {
    if !item.is_ao() {
        return Err(Error::invalid("Tag 'Data-Protocol': must contain 'ao'").with_code(Code::NOT_AO));
    }
    match (item.kind(), item.target) {
        (Some("Process"), _) => Ok(item.id.into()),
        (Some("Message"), Some(target)) => Ok(target.into()),
        (Some("Message"), None) => Err(Error::invalid(format!("message {} has no target", item.id))
            .with_code(Code::NOT_AO)
            .with_hint("set the id of a process")),
        _ => Err(Error::invalid("Tag 'Type': must be either 'Process' or 'Message'").with_code(Code::NOT_AO)),
    }
}
