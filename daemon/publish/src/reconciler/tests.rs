use std::{sync::Arc, thread};

use super::*;
use crate::testing::{Memory, Target as Fake, wish};

fn reconciler(memory: &Memory, fake: &Fake) -> Reconciler {
    Reconciler::new(Box::new(memory.clone()), vec![Box::new(fake.clone())])
}

fn look(reconciler: &Reconciler, when: When, now_ms: i64) -> Look {
    reconciler.follow("fake", when, now_ms).unwrap().unwrap()
}

#[test]
fn one_that_cannot_be_asked_is_told_of_each_change_once() {
    let (memory, fake) = (Memory::default(), Fake::default());
    let targets = reconciler(&memory, &fake);
    assert!(!targets.standings(0).unwrap()[0].is_behind());
    assert!(matches!(look(&targets, When::Due, 0).outcome, Outcome::Follows));
    assert_eq!(fake.told(), [0; 0], "before the first champion there is nothing to tell");
    for change in [1, 2] {
        memory.change(wish(change, Some("same")));
        assert!(targets.standings(1).unwrap()[0].is_behind());
        assert!(matches!(look(&targets, When::Due, 1).outcome, Outcome::Published));
        assert!(matches!(look(&targets, When::Due, 2).outcome, Outcome::Follows));
    }
    memory.change(wish(3, None));
    let base = look(&targets, When::Due, 3).publication;
    assert_eq!((base.served, base.served_adapter, base.since_ms), (Some(3), None, 3));
    assert_eq!(fake.told(), [1, 2, 3]);
    assert!(targets.follow("other", When::Now, 0).unwrap().is_none());
}

#[test]
fn failures_are_paused_after_counted_and_end() {
    let (memory, fake) = (Memory::default(), Fake::default());
    let targets = reconciler(&memory, &fake);
    memory.change(wish(1, Some("one")));
    fake.fails(true);
    let first = look(&targets, When::Due, 0);
    assert!(matches!(first.outcome, Outcome::Failed(_)));
    assert_eq!((first.publication.attempts, first.publication.next_ms), (1, Some(1000)));
    assert!(matches!(look(&targets, When::Due, 999).outcome, Outcome::Waits));
    assert_eq!(look(&targets, When::Due, 1000).publication.next_ms, Some(3000));
    let last = look(&targets, When::Due, 3000).publication;
    assert!(last.is_given_up() && last.attempts == 3, "{last:?}");
    assert!(matches!(look(&targets, When::Due, i64::MAX).outcome, Outcome::Waits));
    assert_eq!(fake.tried(), 3);

    // Somebody asks, and a new champion is a new beginning.
    assert!(look(&targets, When::Now, 4000).publication.is_given_up());
    memory.change(wish(2, Some("two")));
    assert_eq!(look(&targets, When::Due, 5000).publication.attempts, 1);
    fake.fails(false);
    let served = look(&targets, When::Due, 6000).publication;
    assert_eq!((served.attempts, served.error, served.since_ms), (0, None, 6000));
    assert_eq!(fake.told(), [2]);
}

#[test]
fn what_was_told_and_not_recorded_is_told_again_and_a_try_that_ends_the_process_counts() {
    let (memory, fake) = (Memory::default(), Fake::default());
    memory.change(wish(1, Some("one")));
    memory.fails_after(1);
    reconciler(&memory, &fake).follow("fake", When::Due, 0).unwrap_err();
    assert_eq!(memory.row("fake").unwrap().attempts, 1);
    memory.fails_after(usize::MAX);
    let again = look(&reconciler(&memory, &fake), When::Now, 0);
    assert!(matches!(again.outcome, Outcome::Published));
    assert_eq!(fake.told(), [1, 1], "at least once");
}

#[test]
fn one_that_can_be_asked_is_mended_and_one_that_was_moved_is_told_anew() {
    let (memory, fake) = (Memory::default(), Fake::asked());
    let targets = reconciler(&memory, &fake);
    memory.change(wish(1, Some("one")));
    look(&targets, When::Due, 0);
    assert!(matches!(look(&targets, When::Due, 0).outcome, Outcome::Follows));
    fake.serves(None);
    assert!(targets.standings(5).unwrap()[0].is_behind());
    assert!(matches!(look(&targets, When::Due, 9).outcome, Outcome::Published));
    assert_eq!(fake.told(), [1, 1]);

    let moved = Fake::moved();
    assert!(matches!(look(&reconciler(&memory, &moved), When::Due, 9).outcome, Outcome::Published));
    assert_eq!(moved.told(), [1]);
}

#[test]
fn a_champion_whose_files_were_changed_is_told_to_nobody() {
    let (memory, fake) = (Memory::default(), Fake::default());
    memory.change(wish(1, Some("changed")));
    let look = look(&reconciler(&memory, &fake), When::Due, 0);
    assert!(matches!(look.outcome, Outcome::Failed(PublishError::Unfit(_))), "{look:?}");
    assert_eq!(fake.tried(), 0);
}

#[test]
fn no_target_is_served_by_two_threads_and_the_last_wish_wins() {
    let (memory, fake) = (Memory::default(), Fake::asked());
    let targets = Arc::new(reconciler(&memory, &fake));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for now_ms in 0..50 {
                    look(&targets, When::Now, now_ms);
                }
            });
        }
        for change in 1..50 {
            memory.change(wish(change, Some(if change % 2 == 0 { "one" } else { "two" })));
            assert_eq!(look(&targets, When::Now, 0).publication.served, Some(change));
        }
    });
    assert_eq!(fake.at_once(), 1);
}
