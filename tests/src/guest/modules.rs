//! Kernel modules in the order `insmod` needs them, from `modules.dep`.

use std::collections::BTreeMap;
use std::path::Path;

use super::{GuestError, at};

/// Dependencies of one kernel's modules.
pub struct Modules {
    files: BTreeMap<String, (String, Vec<String>)>,
    builtin: Vec<String>,
}

impl Modules {
    /// Reads `modules.dep` and `modules.builtin` in `/lib/modules/RELEASE`.
    pub fn read(directory: &Path) -> Result<Self, GuestError> {
        let text = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).map_err(at(&path))
        };
        Ok(Self::parse(&text("modules.dep")?, &text("modules.builtin")?))
    }

    fn parse(dependencies: &str, builtin: &str) -> Self {
        let files = dependencies.lines().filter_map(|line| {
            let (file, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().map(name_of).collect();
            Some((name_of(file), (file.to_owned(), needs)))
        });
        Self {
            files: files.collect(),
            builtin: builtin.lines().map(name_of).collect(),
        }
    }

    /// Files (relative to the directory) of the wanted modules and all they need, each after what it needs.
    /// Built-in ones need no file.
    pub fn in_order(&self, wanted: &[&str]) -> Result<Vec<String>, GuestError> {
        let mut order = Vec::new();
        for name in wanted {
            self.add(&name.replace('-', "_"), &mut order)?;
        }
        Ok(order)
    }

    fn add(&self, name: &str, order: &mut Vec<String>) -> Result<(), GuestError> {
        let Some((file, needs)) = self.files.get(name) else {
            if self.builtin.iter().any(|builtin| builtin == name) {
                return Ok(());
            }
            return Err(GuestError::Missing(format!("kernel module {name}")));
        };
        if order.contains(file) {
            return Ok(());
        }
        for need in needs {
            self.add(need, order)?;
        }
        order.push(file.clone());
        Ok(())
    }
}

/// `kernel/sound/virtio/virtio_snd.ko.xz` → `virtio_snd`.
fn name_of(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split('.').next().unwrap_or(base).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str =
        "a/virtio_snd.ko.xz: b/snd-pcm.ko.xz b/snd.ko.xz\nb/snd-pcm.ko.xz: b/snd.ko.xz\nb/snd.ko.xz:\n";

    #[test]
    fn what_a_module_needs_comes_before_it_once() {
        let order = Modules::parse(DEPENDENCIES, "")
            .in_order(&["snd-pcm", "virtio_snd"])
            .ok();

        assert_eq!(
            order,
            Some(
                ["b/snd.ko.xz", "b/snd-pcm.ko.xz", "a/virtio_snd.ko.xz"]
                    .map(String::from)
                    .to_vec()
            )
        );
    }

    #[test]
    fn a_builtin_module_needs_no_file_and_an_unknown_one_is_an_error() {
        let modules = Modules::parse(DEPENDENCIES, "kernel/drivers/virtio/virtio.ko\n");

        assert_eq!(modules.in_order(&["virtio"]).ok(), Some(Vec::new()));
        assert!(modules.in_order(&["virtoi"]).is_err());
    }
}
