use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

/// The largest file of a secret, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// What a file holds that others cannot read, without the blanks around it. Errors never tell what that is.
pub(crate) fn read_closed(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("the secret cannot be opened: {error}"))?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.mode() & 0o007 != 0 {
        return Err("the secret can be used by everybody: `chmod o-rwx` it".to_owned());
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("the secret cannot be read: {error}"))?;
    Ok(text.trim().to_owned())
}
