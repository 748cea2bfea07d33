//! A change of the champion, as it is told to others.

use chrono::{DateTime, SecondsFormat};
use perennial_types::{AdapterId, Fingerprinter};
use serde_json::json;

use crate::Wish;

/// Names a change at a target: the same at each try, and unlike those of any other state directory.
pub(crate) fn event_id(target: &str, wish: &Wish) -> String {
    let name = |adapter: Option<&AdapterId>| adapter.map_or_else(String::new, AdapterId::to_string);
    let id = Fingerprinter::new()
        .part(target.as_bytes())
        .part(&wish.change.to_le_bytes())
        .part(&wish.at_ms.to_le_bytes())
        .part(name(wish.adapter()).as_bytes())
        .part(name(wish.previous.as_ref()).as_bytes())
        .finish();
    format!("msg_{}", id.short(32))
}

/// The change as JSON: what it was, who is in service now, and where that one lies.
pub(crate) fn body(id: &str, wish: &Wish) -> Vec<u8> {
    let champion = wish.champion.as_ref();
    let at = DateTime::from_timestamp_millis(wish.at_ms).unwrap_or_default();
    let event = json!({
        "id": id,
        "type": "champion.changed",
        "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "data": {
            "champion": wish.adapter(),
            "path": champion.map(|champion| champion.folder.display().to_string()),
            "fingerprint": champion.map(|champion| champion.files),
            "cycle": champion.map(|champion| champion.cycle),
            "previous": wish.previous,
            "reason": wish.reason,
            "change": wish.change,
        },
    });
    event.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::wish;

    #[test]
    fn an_id_is_that_of_the_change_and_the_body_the_same_at_each_try() {
        let (one, base) = (wish(1, Some("one")), wish(2, None));
        let id = event_id("hook", &one);
        assert_eq!(id, event_id("hook", &one.clone()));
        assert_eq!(body(&id, &one), body(&id, &one));
        let others =
            [event_id("other", &one), event_id("hook", &base), event_id("hook", &Wish { at_ms: 1, ..one.clone() })];
        assert!(others.iter().all(|other| *other != id), "{others:?}");
        insta::assert_snapshot!(
            String::from_utf8(body("msg_1", &one)).unwrap() + "\n" + &String::from_utf8(body("msg_2", &base)).unwrap()
        );
    }
}
