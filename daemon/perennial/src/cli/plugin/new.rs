use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

use super::{
    super::output,
    project::Lang,
    sources::{CASES, JS_SDK, JS_TEMPLATE, PYTHON_SDK, PYTHON_TEMPLATE, RUST_SDK, RUST_TEMPLATE, Source},
};

/// `perennial plugin new`
#[derive(Debug, clap::Args)]
pub(in super::super) struct New {
    /// The plugin's name, and of the folder it gets; a path puts the folder elsewhere
    name: PathBuf,
    /// What it is to be written in
    #[arg(long)]
    lang: Lang,
}

/// What the templates are called.
const TEMPLATE_NAME: &str = "my-reward";
/// Names become file names, labels of metrics and names of crates.
const NAME_BYTES_MAX: usize = 64;

impl New {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let name = self.name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        check_name(&name)?;
        write_project(&self.name, &name, self.lang)?;
        output::line(self.name.display());
        let dir = self.name.display();
        let unit_tests = match self.lang {
            Lang::Rust => "cargo test",
            Lang::Python => "python3 -m unittest",
            Lang::Js => "npm test",
        };
        output::note(format_args!(
            "next: write the function, try it with `{unit_tests}` in {dir}, then\n  perennial plugin build {dir}\n  \
             perennial plugin test {dir}"
        ));
        Ok(())
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    ensure!(fits, "{name:?} is no name for a plugin: use a-z first, then a-z, 0-9, - and _, {NAME_BYTES_MAX} at most");
    Ok(())
}

fn write_project(dir: &Path, name: &str, lang: Lang) -> anyhow::Result<()> {
    let is_taken = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file();
    if is_taken {
        bail!("{} is there already: choose another name, or remove it", dir.display());
    }
    let (template, sdk) = match lang {
        Lang::Rust => (RUST_TEMPLATE, RUST_SDK),
        Lang::Python => (PYTHON_TEMPLATE, PYTHON_SDK),
        Lang::Js => (JS_TEMPLATE, JS_SDK),
    };
    let named = |text: &str| text.replace(TEMPLATE_NAME, name);
    for Source { path, text } in template {
        // Under its own name it would hide files of this repository.
        let path = if *path == "gitignore" { ".gitignore" } else { path };
        write(&dir.join(path), &named(text))?;
    }
    CASES.iter().try_for_each(|source| write(&dir.join("cases").join(source.path), source.text))?;
    write_all(sdk, &dir.join("vendor"))
}

/// Writes files that this program carries into a folder.
pub(super) fn write_all(sources: &[Source], to: &Path) -> anyhow::Result<()> {
    sources.iter().try_for_each(|source| write(&to.join(source.path), source.text))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(path, text)).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_bear_their_name_and_carry_their_sdk() {
        let folder = tempfile::tempdir().unwrap();
        for (lang, entry, sdk) in [
            (Lang::Rust, "src/lib.rs", "vendor/src/lib.rs"),
            (Lang::Python, "plugin.py", "vendor/perennial_reward/plugin.py"),
            (Lang::Js, "plugin.js", "vendor/reward.js"),
        ] {
            let dir = folder.path().join(entry.replace(['/', '.'], "-"));
            write_project(&dir, "tone-of-voice", lang).unwrap();
            let text = fs::read_to_string(dir.join(entry)).unwrap();
            assert!(text.contains("\"tone-of-voice\"") && !text.contains(TEMPLATE_NAME), "{text}");
            for path in [sdk, "vendor/wit/reward.wit", "cases/example.json", ".gitignore", "README.md"] {
                assert!(dir.join(path).is_file(), "{path}");
            }
            let again = write_project(&dir, "tone-of-voice", lang).unwrap_err();
            assert!(again.to_string().contains("there already"), "{again}");
        }
    }

    #[test]
    fn names_that_cannot_be_labels_are_refused() {
        for name in ["", "Tone", "1st", "a b", "ä", "../x", "-x"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("tone-of_voice2").is_ok());
    }
}
