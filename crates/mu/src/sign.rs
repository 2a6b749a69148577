//! Signs what an outcome asks for. Takes the processor for long: not for async threads.

use std::num::NonZero;
use std::thread;

use bytes::Bytes;
use protocol::{DataItem, Outcome, ProcessId, Wallet};
use unit::{AssignRequest, TraceKind};

use crate::beginning;
use crate::outbox::{self, Element, Limits, Part, Sender};

/// What follows from one outcome, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) signed: Vec<Signed>,
    pub(crate) refused: Vec<Refused>,
}

/// One thing to send, as it will be sent however often that is tried.
#[derive(Debug)]
pub(crate) enum Signed {
    Message { item: DataItem, assignments: Vec<AssignRequest> },
    Spawn { item: DataItem, notice: DataItem },
    Assign(AssignRequest),
}

/// An element that is not sent.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) kind: TraceKind,
    pub(crate) why: String,
    /// The beginning of its JSON.
    pub(crate) body: Bytes,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.signed.is_empty() && self.refused.is_empty()
    }

    /// An outcome of which nothing is sent.
    pub(crate) fn refused(why: String) -> Outbox {
        let refused = vec![Refused { kind: TraceKind::Message, why, body: Bytes::new() }];
        Outbox { signed: Vec::new(), refused }
    }
}

/// Reads an outcome's outbox and signs it.
pub(crate) fn outbox(
    wallet: &Wallet,
    sender: Sender<'_>,
    outcome: &Outcome,
    limits: Limits,
    part: &Part,
) -> Outbox {
    let (elements, mut refused) = outbox::read(sender, outcome, limits, part);
    let mut signed = Vec::with_capacity(elements.len());
    for ((kind, index, _), result) in elements.iter().zip(sign_all(wallet, sender.process, &elements)) {
        match result {
            Ok(one) => signed.push(one),
            Err(why) => refused.push(outbox::Refused { kind: *kind, index: *index, why }),
        }
    }
    let report = |one: outbox::Refused| {
        let list = match one.kind {
            TraceKind::Message => &outcome.messages,
            TraceKind::Spawn => &outcome.spawns,
            TraceKind::Assign => &outcome.assignments,
        };
        let body = list.get(one.index).map_or(Bytes::new(), |json| beginning(json.get()));
        Refused { kind: one.kind, why: one.to_string(), body }
    };
    Outbox { signed, refused: refused.into_iter().map(report).collect() }
}

type Place = (TraceKind, usize, Element);

/// In order, on as many processors as there are: one RSA signature takes some milliseconds.
fn sign_all(wallet: &Wallet, sender: ProcessId, elements: &[Place]) -> Vec<Result<Signed, String>> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let sign = |elements: &[Place]| -> Vec<_> {
        elements.iter().map(|(_, _, element)| sign_one(wallet, sender, element)).collect()
    };
    if elements.len() < 2 * processors {
        return sign(elements);
    }
    thread::scope(|scope| {
        let share = elements.len().div_ceil(processors);
        let shares: Vec<_> = elements.chunks(share).map(|share| scope.spawn(move || sign(share))).collect();
        shares.into_iter().flat_map(|share| share.join().expect("signing does not panic")).collect()
    })
}

fn sign_one(wallet: &Wallet, sender: ProcessId, element: &Element) -> Result<Signed, String> {
    let sign =
        |draft: &protocol::Draft| DataItem::sign(wallet, draft.clone()).map_err(|error| error.to_string());
    match element {
        Element::Message { draft, assignments } => {
            let item = sign(draft)?;
            let message = item.id;
            let to = |&process| AssignRequest { process, message, base_layer: false, exclude: Vec::new() };
            Ok(Signed::Message { assignments: assignments.iter().map(to).collect(), item })
        }
        Element::Spawn { draft, notice } => {
            let item = sign(draft)?;
            let notice = sign(&outbox::spawned(sender, notice, item.id.into()))?;
            Ok(Signed::Spawn { item, notice })
        }
        Element::Assign(request) => Ok(Signed::Assign(request.clone())),
    }
}
