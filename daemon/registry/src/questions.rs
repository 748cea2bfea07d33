use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{CycleId, Fingerprint, SampleId};
use rusqlite::params;

use crate::{
    Registry, RegistryError, SampleRecord, column,
    samples::{RECORDS, records},
};

impl Registry {
    /// On which side of the split these questions are: whether a sample that asks them is held out. One that no sample asks
    /// is left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn sides_of_questions(
        &self,
        questions: &BTreeSet<Fingerprint>,
    ) -> Result<BTreeMap<Fingerprint, bool>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT max(held_out) FROM samples WHERE question = ?1")?;
        let mut sides = BTreeMap::new();
        for question in questions {
            let side: Option<bool> = statement.query_row([question.as_bytes()], |row| row.get(0))?;
            sides.extend(side.map(|side| (*question, side)));
        }
        Ok(sides)
    }

    /// The questions of all held-out samples, as far as they are known: see
    /// [`without_question`](Self::without_question).
    ///
    /// # Errors
    /// Where the database fails.
    pub fn held_out_questions(&self) -> Result<BTreeSet<Fingerprint>, RegistryError> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT question FROM samples WHERE held_out = 1 AND question IS NOT NULL")?;
        let questions = statement.query_map([], |row| column::fingerprint(row, "question"))?;
        Ok(questions.collect::<Result<_, _>>()?)
    }

    /// The questions that both a held-out sample and one that a cycle consumed ask: copies came to stand on both sides of the
    /// split before they were kept together.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn held_out_questions_trained_on(&self) -> Result<BTreeSet<Fingerprint>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT question FROM samples AS apart WHERE held_out = 1 AND question IS NOT NULL AND EXISTS
                 (SELECT 1 FROM samples WHERE samples.question = apart.question AND samples.cycle IS NOT NULL)",
        )?;
        let questions = statement.query_map([], |row| column::fingerprint(row, "question"))?;
        Ok(questions.collect::<Result<_, _>>()?)
    }

    /// Samples whose question is not known, having been stored before it was noted; at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn without_question(&self, limit: usize) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!("{RECORDS} WHERE samples.question IS NULL ORDER BY samples.id LIMIT ?1");
        records(&self.lock(), &sql, [limit])
    }

    /// Notes what samples ask. Doing so twice is harmless.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn note_questions(&self, questions: &BTreeMap<SampleId, Fingerprint>) -> Result<(), RegistryError> {
        self.write(|transaction| {
            let mut update = transaction.prepare_cached("UPDATE samples SET question = ?2 WHERE id = ?1")?;
            for (id, question) in questions {
                update.execute(params![id.0.as_bytes(), question.as_bytes()])?;
            }
            Ok(())
        })
    }

    /// Keeps fresh samples out of training, since a suite asks the same as they do, in the name of the cycle that would
    /// have trained on them. Samples that are not fresh are passed over.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn keep_out(&self, cycle: CycleId, ids: &[SampleId]) -> Result<(), RegistryError> {
        self.write(|transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE samples SET kept_out = ?2
                 WHERE id = ?1 AND held_out = 0 AND cycle IS NULL AND kept_out IS NULL",
            )?;
            for id in ids {
                update.execute(params![id.0.as_bytes(), cycle.0])?;
            }
            Ok(())
        })
    }

    /// Makes samples that were kept out fresh again, for which there is no reason any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn let_back(&self, ids: &[SampleId]) -> Result<(), RegistryError> {
        self.write(|transaction| {
            let mut update = transaction.prepare_cached("UPDATE samples SET kept_out = NULL WHERE id = ?1")?;
            for id in ids {
                update.execute([id.0.as_bytes()])?;
            }
            Ok(())
        })
    }

    /// The samples that are kept out of training, by this cycle or, for `None`, by any.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn kept_out(&self, by: Option<CycleId>) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!("{RECORDS} WHERE kept_out IS NOT NULL AND (?1 IS NULL OR kept_out = ?1) ORDER BY samples.id");
        records(&self.lock(), &sql, [by.map(|cycle| cycle.0)])
    }
}
