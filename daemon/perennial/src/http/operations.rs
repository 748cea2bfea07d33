//! What the reference says of each route.

use perennial_types::{CycleId, Domain};

use super::{Code, health::METRICS_TYPE, operation::Operation};
use crate::answers::{
    Abort, Aborting, AdapterRow, AdapterShown, Anchor, Answered, CycleRow, CycleShown, Drift, HoldWord, IntakeReport,
    Lines, Listing, Pins, Promote, Ready, Rejection, RequeueReport, Requeued, RollBack, SetPin, Started, Status, Whom,
    schemas,
};

const ADAPTER: &str = "The adapter, as `GET /v1/adapters` names it.";
const CYCLE: &str = "The cycle's number.";
const FILE: &str = "The file, as `GET /v1/quarantine` names it.";

pub(super) fn live() -> Operation {
    Operation::new("The process answers.").says("text/plain; charset=utf-8", "live\n")
}

pub(super) fn ready() -> Operation {
    Operation::new("The daemon takes work.")
        .more("Training that is stuck is told to callers with the role `read`, and is no reason to send samples elsewhere.")
        .answers_such_as(&Ready { ready: true, stuck: None })
        .problems(&[Code::Unavailable])
}

pub(super) fn training() -> Operation {
    Operation::new("Training gets on: it runs, or waits for nothing but samples.")
        .answers_such_as(&Ready { ready: true, stuck: None })
        .problems(&[Code::TrainingIsStuck])
}

pub(super) fn metrics() -> Operation {
    Operation::new("Everything that is measured, in Prometheus's text format.")
        .says(METRICS_TYPE, "perennial_ingest_rows_total{outcome=\"accepted\"} 30\n")
}

pub(super) fn reference() -> Operation {
    Operation::new("This reference.").answers_any()
}

pub(super) fn status() -> Operation {
    Operation::new("How things stand.").answers::<Status>()
}

pub(super) fn drift() -> Operation {
    Operation::new("What moved in what comes in, and how far the champion is from the models before it, as measured last.")
        .more(
            "A score beyond its threshold is drift. Thresholds are such that all detectors in all domains together give less than one \
             false alarm in 100 days.",
        )
        .answers::<Drift>()
}

pub(super) fn take_samples() -> Operation {
    let report = IntakeReport {
        accepted: 30,
        rejected: 1,
        held_out: 3,
        domains: [(Domain::default(), 30)].into(),
        rejections: vec![Rejection { line: 31, reason: "it is no JSON: expected `:` at column 8".to_owned() }],
        quarantine: Some("/var/lib/perennial/quarantine/http.jsonl".into()),
        ..Default::default()
    };
    Operation::new("Takes rows in, as JSON Lines, plain or compressed.")
        .more(
            "The answer comes when the rows are durable. Where some are taken and some refused it is a success with the counts of \
             both; where every row is refused it is `nothing_taken`. Rows that were stored before count as taken, so that a request \
             can be sent again.",
        )
        .query::<String>("source", "The name of the file that the rows are from.")
        .query::<u64>("first_line", "The number of the first line, where a file is sent in parts.")
        .takes_rows("{\"prompt\": \"What is the capital of Peru?\", \"completion\": \"Lima\"}\n")
        .answers_such_as(&report)
        .problems(&[Code::OverBound, Code::Unreadable, Code::Damaged, Code::NothingTaken, Code::Unavailable])
}

pub(super) fn quarantine() -> Operation {
    Operation::new("What lies in quarantine: files of refused rows, and files that were refused as a whole.")
        .answers::<Listing>()
}

pub(super) fn quarantined_rows() -> Operation {
    Operation::new("The first lines of a file of refused rows, each with its reason.")
        .of::<String>("name", FILE)
        .answers::<Lines>()
}

pub(super) fn requeue_rows() -> Operation {
    Operation::new("Takes the rows of a quarantine file in again, under the configuration of now.")
        .of::<String>("name", FILE)
        .answers_such_as(&RequeueReport { accepted: 4, rejected: 1, ..Default::default() })
}

pub(super) fn give_file_back() -> Operation {
    Operation::new("Gives a file that was refused as a whole back to the inbox.").of::<String>("name", FILE)
}

pub(super) fn adapters() -> Operation {
    Operation::new("All adapters, the newest first.").lists::<AdapterRow>()
}

pub(super) fn adapter() -> Operation {
    Operation::new("All that is known of an adapter, and its cycle's report as Markdown.")
        .of::<schemas::AdapterId>("id", ADAPTER)
        .answers::<AdapterShown>()
}

pub(super) fn promote() -> Operation {
    Operation::new("Puts an adapter in service by hand, without the gate's word.")
        .of::<schemas::AdapterId>("id", ADAPTER)
        .takes(&Promote { reason: "the suite is out of date".to_owned() })
        .answers::<RollBack>()
        .problems(&[Code::Refused])
}

pub(super) fn roll_back() -> Operation {
    Operation::new("Puts an earlier champion back in service: the one before, or the one that is named.")
        .takes(&RollBack { to: None })
        .answers_such_as(&RollBack { to: None })
        .problems(&[Code::Refused])
}

pub(super) fn pins() -> Operation {
    Operation::new("The anchor, against which candidates are held beside the champion, and all before it.")
        .answers::<Pins>()
}

pub(super) fn pin() -> Operation {
    Operation::new("Pins the anchor: an adapter by its id, `champion` or `base`.")
        .takes(&SetPin { adapter: Whom::Champion, reason: "we looked at it".to_owned() })
        .answers::<Anchor>()
        .problems(&[Code::NotFound, Code::Refused])
}

pub(super) fn cycles() -> Operation {
    Operation::new("The last cycles, the newest first.").lists::<CycleRow>()
}

pub(super) fn start_cycle() -> Operation {
    Operation::new("Starts a cycle, or goes on with the unfinished one.")
        .accepts()
        .answers_such_as(&Started { cycle: CycleId(7) })
        .problems(&[Code::CycleUnderWay, Code::NothingToDo, Code::Refused, Code::Unavailable])
}

pub(super) fn cycle() -> Operation {
    Operation::new("All that is known of a cycle, the samples that it set aside, and its report as Markdown.")
        .of::<schemas::CycleId>("id", CYCLE)
        .answers::<CycleShown>()
}

pub(super) fn gate() -> Operation {
    Operation::new(
        "What the gate says of an ended cycle under the configuration of now, from the scores that are kept.",
    )
    .of::<schemas::CycleId>("id", CYCLE)
    .answers::<schemas::Report>()
    .problems(&[Code::Refused])
}

pub(super) fn abort() -> Operation {
    Operation::new("Aborts a cycle at its next safe point; its samples wait for the next.")
        .of::<schemas::CycleId>("id", CYCLE)
        .takes(&Abort { reason: "wrong data".to_owned() })
        .accepts()
        .answers_such_as(&Aborting { cycle: CycleId(7) })
        .problems(&[Code::Refused])
}

pub(super) fn approve() -> Operation {
    Operation::new("Puts a candidate in service that passed the gate and waits for a person's word.")
        .of::<schemas::CycleId>("id", CYCLE)
        .takes(&HoldWord { reason: "read its answers".to_owned() })
        .accepts()
        .answers_such_as(&Answered { cycle: CycleId(7) })
        .problems(&[Code::Refused])
}

pub(super) fn decline() -> Operation {
    Operation::new(
        "Rejects a candidate that passed the gate and waits for a person's word; its samples are new again, as after a refusal.",
    )
    .of::<schemas::CycleId>("id", CYCLE)
    .takes(&HoldWord { reason: "too blunt".to_owned() })
    .accepts()
    .answers_such_as(&Answered { cycle: CycleId(7) })
    .problems(&[Code::Refused])
}

pub(super) fn requeue() -> Operation {
    Operation::new(
        "Gives an ended cycle's new samples back, and those that it set aside, so that a later one trains on them.",
    )
    .of::<schemas::CycleId>("id", CYCLE)
    .answers_such_as(&Requeued { samples: 240 })
    .problems(&[Code::Refused])
}
