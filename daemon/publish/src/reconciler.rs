//! The one who brings targets to serve the wish.

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use perennial_durable::failpoint;
use perennial_types::Publication;

use crate::{Ledger, Observed, PublishError, Publisher, Reach, Wish};

/// Owns all targets. Each is looked at by one thread at a time, which reads the wish only once it is its turn: so a target
/// always ends at the last champion, whatever runs beside.
pub struct Reconciler {
    ledger: Box<dyn Ledger>,
    targets: Vec<Target>,
}

struct Target {
    publisher: Box<dyn Publisher>,
    turn: Mutex<()>,
    /// What was last known of it, for those who must not wait for its turn.
    known: Mutex<Option<Publication>>,
}

/// Whether a pause between tries is waited out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It is: for looks in intervals.
    Due,
    /// It is not, nor does it matter that the target was given up: for those who just changed the champion, and at start.
    Now,
}

/// What came of a look at a target.
#[derive(Debug)]
pub struct Look {
    /// How it stands.
    pub publication: Publication,
    /// What was done.
    pub outcome: Outcome,
}

/// What was done at a look.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing: it serves the champion.
    Follows,
    /// It serves the champion now.
    Published,
    /// Nothing yet: it is waited for the next try, or it was given up.
    Waits,
    /// A try failed.
    Failed(PublishError),
}

impl Reconciler {
    /// For these targets, whose names differ.
    pub fn new(ledger: Box<dyn Ledger>, publishers: Vec<Box<dyn Publisher>>) -> Self {
        let target = |publisher| Target { publisher, turn: Mutex::default(), known: Mutex::default() };
        Self { ledger, targets: publishers.into_iter().map(target).collect() }
    }

    /// All targets, in the order of the configuration.
    pub fn publishers(&self) -> impl Iterator<Item = &dyn Publisher> {
        self.targets.iter().map(|target| &*target.publisher)
    }

    /// The names of the targets of this reach.
    pub fn names(&self, reach: Reach) -> Vec<String> {
        let there = self.publishers().filter(|publisher| publisher.reach() == reach);
        there.map(|publisher| publisher.name().to_owned()).collect()
    }

    /// How the targets of this reach stood when each was last looked at; those that were not yet are left out.
    pub fn known(&self, reach: Reach) -> impl Iterator<Item = Publication> {
        let there = self.targets.iter().filter(move |target| target.publisher.reach() == reach);
        there.filter_map(|target| lock(&target.known).clone())
    }

    /// Looks what a target serves, and makes it serve the champion where it does not and a try is due. Blocks while another
    /// thread does so. `None` where there is no such target.
    ///
    /// # Errors
    /// Where the ledger fails. What the target fails by is told in [`Outcome::Failed`], and tried again.
    pub fn follow(&self, name: &str, when: When, now_ms: i64) -> Result<Option<Look>, PublishError> {
        let Some(target) = self.target(name) else { return Ok(None) };
        let _turn = lock(&target.turn);
        let look = self.look(&*target.publisher, when, now_ms)?;
        *lock(&target.known) = Some(look.publication.clone());
        Ok(Some(look))
    }

    /// What the ledger knows of each target, brought up to what is to be seen of it on this machine, in the order of the
    /// configuration. Changes nothing.
    ///
    /// # Errors
    /// Where the ledger fails.
    pub fn standings(&self, now_ms: i64) -> Result<Vec<Publication>, PublishError> {
        let wish = self.ledger.wish().map_err(PublishError::Ledger)?;
        self.publishers().map(|publisher| self.standing(publisher, &wish, now_ms)).collect()
    }

    fn standing(&self, publisher: &dyn Publisher, wish: &Wish, now_ms: i64) -> Result<Publication, PublishError> {
        let known = self.ledger.publication(publisher.name()).map_err(PublishError::Ledger)?;
        let mut publication = towards(known, publisher, wish, now_ms);
        let observed = match publisher.reach() {
            Reach::Local => publisher.observe(wish),
            Reach::Remote => Ok(Observed::Untold),
        };
        match observed {
            Ok(observed) => note(&mut publication, wish, observed, now_ms),
            Err(error) => publication.error = Some(error.to_string()),
        }
        Ok(publication)
    }

    fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.publisher.name() == name)
    }

    fn look(&self, publisher: &dyn Publisher, when: When, now_ms: i64) -> Result<Look, PublishError> {
        let wish = self.ledger.wish().map_err(PublishError::Ledger)?;
        let before = self.ledger.publication(publisher.name()).map_err(PublishError::Ledger)?;
        let mut publication = towards(before.clone(), publisher, &wish, now_ms);
        let observed = publisher.observe(&wish);
        if let Ok(observed) = &observed {
            note(&mut publication, &wish, observed.clone(), now_ms);
        }
        if observed.is_ok() && !publication.is_behind() {
            if before.as_ref() != Some(&publication) {
                self.record(&publication)?;
            }
            return Ok(Look { publication, outcome: Outcome::Follows });
        }
        let tries = publisher.tries();
        if when == When::Due {
            let is_paused = publication.next_ms.is_some_and(|next_ms| next_ms > now_ms);
            if is_paused || tries.are_over(publication.attempts) {
                return Ok(Look { publication, outcome: Outcome::Waits });
            }
        }
        // Counted before it begins: a try that ends the process was one.
        publication.attempts = publication.attempts.saturating_add(1);
        let pause_ms = tries.pause(publication.attempts).as_millis();
        let next_ms = now_ms.saturating_add(i64::try_from(pause_ms).unwrap_or(i64::MAX));
        publication.next_ms = Some(next_ms);
        self.record(&publication)?;
        match observed.and_then(|_| self.publish(publisher, &wish)) {
            Ok(()) => {
                note(&mut publication, &wish, Observed::Serves(wish.adapter().cloned()), now_ms);
                self.record(&publication)?;
                Ok(Look { publication, outcome: Outcome::Published })
            }
            Err(error) => {
                publication.error = Some(error.to_string());
                publication.next_ms = Some(next_ms).filter(|_| !tries.are_over(publication.attempts));
                self.record(&publication)?;
                Ok(Look { publication, outcome: Outcome::Failed(error) })
            }
        }
    }

    fn publish(&self, publisher: &dyn Publisher, wish: &Wish) -> Result<(), PublishError> {
        let step = |step: &str| {
            let step = format!("publish.{step}.{}", publisher.name());
            failpoint::hit(&step).map_err(|source| PublishError::Step { step, source })
        };
        self.ledger.verify(wish).map_err(PublishError::Unfit)?;
        step("begin")?;
        publisher.publish(wish)?;
        step("served")
    }

    fn record(&self, publication: &Publication) -> Result<(), PublishError> {
        self.ledger.record(publication).map_err(PublishError::Ledger)
    }
}

/// What is known of a target, towards this wish.
fn towards(known: Option<Publication>, publisher: &dyn Publisher, wish: &Wish, now_ms: i64) -> Publication {
    let place = publisher.place();
    let mut publication = known.filter(|known| known.place == place).unwrap_or_else(|| Publication {
        target: publisher.name().to_owned(),
        place,
        wished: wish.change,
        wished_adapter: wish.adapter().cloned(),
        served: None,
        served_adapter: None,
        since_ms: now_ms,
        attempts: 0,
        next_ms: None,
        error: None,
    });
    if publication.wished != wish.change {
        if !publication.is_behind() {
            publication.since_ms = now_ms;
        }
        publication.wished = wish.change;
        publication.wished_adapter = wish.adapter().cloned();
        (publication.attempts, publication.next_ms, publication.error) = (0, None, None);
    }
    publication
}

/// Brings what is known up to what was seen.
fn note(publication: &mut Publication, wish: &Wish, observed: Observed, now_ms: i64) {
    let was_behind = publication.is_behind();
    match observed {
        Observed::Serves(adapter) => {
            publication.served = (adapter.as_ref() == wish.adapter()).then_some(wish.change);
            publication.served_adapter = adapter;
        }
        // Before the first champion there is nothing to tell.
        Observed::Untold if wish.change == 0 => publication.served = Some(0),
        Observed::Untold => {}
    }
    if publication.is_behind() != was_behind {
        publication.since_ms = now_ms;
    }
    if !publication.is_behind() {
        (publication.attempts, publication.next_ms, publication.error) = (0, None, None);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
