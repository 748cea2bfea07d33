use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::limits::{Bound, EMPTY_MEMBERS_MAX};

/// The first byte of a gzip member.
const MEMBER_BYTE: u8 = 0x1f;

/// All members of a gzip file, one after the other, as gzip(1) reads them: zeros after the last are padding. Anything else
/// there is an error.
#[allow(clippy::large_enum_variant, reason = "there is one of them for a whole file, and it is nearly always a member")]
pub(super) enum Members<R> {
    /// Within a member.
    Member {
        decoder: GzDecoder<R>,
        /// Whether it gave anything so far.
        gave: bool,
        /// How many members before it gave nothing.
        empty: u32,
    },
    /// Behind the last member.
    Ended(R),
    /// On the way from one to the other.
    Between,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self::Member { decoder: GzDecoder::new(reader), gave: false, empty: 0 }
    }

    /// The compressed bytes.
    pub(super) fn get_mut(&mut self) -> Option<&mut R> {
        match self {
            Self::Member { decoder, .. } => Some(decoder.get_mut()),
            Self::Ended(reader) => Some(reader),
            Self::Between => None,
        }
    }

    /// Goes on behind a member that has ended.
    fn go_on(&mut self) -> io::Result<()> {
        let (mut reader, empty) = match std::mem::replace(self, Self::Between) {
            Self::Member { decoder, gave, empty } => (decoder.into_inner(), if gave { 0 } else { empty + 1 }),
            other => {
                *self = other;
                return Ok(());
            }
        };
        let next = next_member(&mut reader);
        *self = match next {
            Ok(true) => Self::Member { decoder: GzDecoder::new(reader), gave: false, empty },
            Ok(false) | Err(_) => Self::Ended(reader),
        };
        next?;
        if empty > EMPTY_MEMBERS_MAX { Err(Bound::EmptyMembers.into()) } else { Ok(()) }
    }
}

/// Whether another member follows.
fn next_member(reader: &mut impl BufRead) -> io::Result<bool> {
    let mut padded = false;
    loop {
        let buffer = reader.fill_buf()?;
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        padded |= zeros > 0;
        match buffer.get(zeros) {
            Some(&MEMBER_BYTE) if !padded => return Ok(true),
            Some(_) => {
                let problem = "what follows the last gzip member is neither another nor zeros";
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            None if zeros == 0 => return Ok(false),
            None => reader.consume(zeros),
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Self::Member { decoder, gave, .. } = self {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                *gave = true;
                return Ok(read);
            }
            self.go_on()?;
        }
        Ok(0)
    }
}
