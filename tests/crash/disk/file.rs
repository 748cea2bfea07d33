use crate::random::Random;

#[derive(Default)]
pub(super) struct FileNode {
    pub(super) now: Vec<u8>,
    pub(super) kept: Vec<u8>,
    pub(super) unsynced: Vec<Edit>,
}

#[derive(Clone)]
pub(super) enum Edit {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl FileNode {
    pub(super) fn after_cut(&self, random: &mut Random) -> Vec<u8> {
        let mut left = self.kept.clone();
        let written = if random.percent(40) { 0 } else { random.below(self.unsynced.len() as u64 + 1) as usize };
        // The length of a file may reach the disk before its bytes do.
        let without_bytes = random.percent(30);
        for (at, edit) in self.unsynced[..written].iter().enumerate() {
            let torn = at + 1 == written && random.percent(70);
            match edit {
                Edit::Write { offset, data } => {
                    let length = if torn { random.below(data.len() as u64 + 1) as usize } else { data.len() };
                    let data = if without_bytes { vec![0; length] } else { data[..length].to_vec() };
                    Edit::Write { offset: *offset, data }.apply(&mut left);
                }
                length => length.apply(&mut left),
            }
        }
        left
    }
}

impl Edit {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}
