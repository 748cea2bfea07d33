use perennial_registry::Pin;

use super::{
    output,
    session::{Answerer, Session},
    table::{Table, time},
};
use crate::{
    answers::{Anchor, Pins, SetPin, Whom, adapter_name, pin_reason},
    pin,
};

/// `perennial pin`
#[derive(Debug, clap::Args)]
pub(super) struct PinCommand {
    /// An adapter's id, "champion" or "base"; without it, the anchor and all before it are shown
    #[arg(value_name = "ADAPTER")]
    adapter: Option<Whom>,
    /// Why, for the record
    #[arg(long, default_value = "", hide_default_value = true, requires = "adapter")]
    reason: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl PinCommand {
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self.adapter {
            Some(adapter) => set(session, adapter, self.reason, self.json),
            None => show(session, self.json),
        }
    }
}

fn set(session: &Session, adapter: Whom, reason: String, json: bool) -> anyhow::Result<()> {
    let anchor = match session.to_write("perennial pin")? {
        Answerer::Here(parts) => pin::set(&parts.context, &adapter, &reason)?,
        Answerer::Daemon(client) => client.post("/v1/pin", &SetPin { adapter, reason })?,
    };
    if json {
        return output::json(&anchor);
    }
    output::line(format_args!("{} is the anchor now: later candidates may not fall behind it", anchor.name()));
    Ok(())
}

fn show(session: &Session, json: bool) -> anyhow::Result<()> {
    let Pins { anchor, history } = match session.to_read()? {
        Answerer::Here(parts) => pin::pins(&parts.context.registry)?,
        Answerer::Daemon(client) => client.get("/v1/pin")?,
    };
    if json {
        return output::json(&Pins { anchor, history });
    }
    output::line(text(&anchor, &history));
    Ok(())
}

fn text(anchor: &Anchor, history: &[Pin]) -> String {
    if history.is_empty() {
        return "the base model is the anchor: nobody pinned another (`perennial pin ADAPTER`)".to_owned();
    }
    let mut table = Table::new(["SINCE", "ANCHOR", "PINNED"]);
    for past in history.iter().rev() {
        table.row([time(past.at_ms), adapter_name(past.adapter.as_ref()), pin_reason(past)]);
    }
    format!("{} is the anchor\n\n{table}", anchor.name())
}

#[cfg(test)]
mod tests {
    use perennial_registry::PinReason;
    use perennial_types::CycleId;

    use super::*;

    #[test]
    fn the_anchor_and_its_history_read_well() {
        assert!(text(&Anchor::default(), &[]).starts_with("the base model is the anchor: nobody"));
        let pin = |at_ms, adapter: Option<&str>, reason| Pin {
            at_ms,
            adapter: adapter.map(|id| id.parse().unwrap()),
            reason,
            cycle: (reason == PinReason::Test).then_some(CycleId(4)),
            note: (reason == PinReason::Hand).then(|| "the first that we liked".to_owned()),
        };
        let history =
            [pin(0, Some("0123456789ab"), PinReason::Hand), pin(60_000, Some("ba9876543210"), PinReason::Test)];
        let anchor = Anchor { adapter: history[1].adapter.clone(), pin: Some(history[1].clone()) };
        insta::assert_snapshot!(text(&anchor, &history));
    }
}
