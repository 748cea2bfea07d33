use std::io::BufRead;

use perennial_types::{Content, Message, Role};

use super::{generate::Speaker, output, session::Session};

/// `perennial chat`
#[derive(Debug, clap::Args)]
pub(super) struct Chat {
    #[command(flatten)]
    speaker: Speaker,
}

impl Chat {
    /// Answers line after line of standard input, and remembers what was said.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        session.log_quietly()?;
        let mut voice = self.speaker.voice(session, true)?;
        let options = self.speaker.options();
        let mut turns: Vec<Message> = Vec::new();
        output::prompt("> ");
        for question in std::io::stdin().lock().lines() {
            let question = question?;
            if !question.trim().is_empty() {
                match turns.is_empty() {
                    true => turns = self.speaker.conversation(question),
                    false => turns.push(Message::new(Role::User, question)),
                }
                let answer = voice.answer(&self.speaker.asked(Content::Messages(turns.clone()))?, &options)?;
                output::line("");
                turns.push(Message::new(Role::Assistant, answer));
            }
            output::prompt("> ");
        }
        Ok(())
    }
}
