//! The writer stopped anywhere, the disk as hostile as it may be, and every damage a file can have.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::slot::GATHER;
use super::*;

const NAME: &str = "audiod.state";

/// A disk that writes a byte at a time, and stops for good after some system calls.
#[derive(Default)]
struct Fragile {
    calls_left: usize,
    /// Faults that a check must notice.
    lies_about_sync: bool,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Contents by number: what was written, and how much of it is on the disk for sure.
    files: Vec<(Vec<u8>, usize)>,
    /// Names as processes see them.
    names: BTreeMap<String, usize>,
    /// Names on the disk for sure.
    durable: BTreeMap<String, usize>,
    /// Changes of names since.
    pending: Vec<BTreeMap<String, usize>>,
}

impl Fragile {
    fn holding(body: &[u8]) -> Self {
        let disk = Self {
            calls_left: usize::MAX,
            ..Self::default()
        };
        replace(&disk, NAME, body).unwrap();
        disk
    }

    fn call(&self, inner: &mut Inner) -> io::Result<()> {
        let names = inner.names.clone();
        if inner.pending.last() != Some(&names) {
            inner.pending.push(names);
        }
        let done = CALLS.with(|calls| calls.fetch_add(1, Relaxed));
        if done < self.calls_left {
            Ok(())
        } else {
            Err(io::Error::other("the power is off"))
        }
    }

    /// What a process that starts next finds, if only the writer was killed.
    fn after_kill(&self) -> Vec<Fragile> {
        let inner = self.inner.borrow();
        vec![Self::found(inner.names.clone(), inner.files.clone())]
    }

    /// All that a machine whose power failed may find: any state of the names since the last sync, and any part of what was written
    /// since the last sync of a file.
    fn after_power_cut(&self) -> Vec<Fragile> {
        let inner = self.inner.borrow();
        let mut found = Vec::new();
        for names in [&inner.durable].into_iter().chain(&inner.pending).chain([&inner.names]) {
            let unsure: Vec<usize> = names.values().copied().collect();
            let longest = unsure.iter().map(|file| inner.files[*file].0.len()).max().unwrap_or(0);
            for cut in 0..=longest {
                let files = inner.files.iter().map(|(bytes, sure)| {
                    let kept = bytes[..cut.clamp(*sure, bytes.len())].to_vec();
                    let length = kept.len();
                    (kept, length)
                });
                found.push(Self::found(names.clone(), files.collect()));
            }
        }
        found
    }

    fn found(names: BTreeMap<String, usize>, files: Vec<(Vec<u8>, usize)>) -> Self {
        Self {
            calls_left: usize::MAX,
            inner: RefCell::new(Inner {
                files,
                durable: names.clone(),
                names,
                pending: Vec::new(),
            }),
            ..Self::default()
        }
    }
}

thread_local! {
    static CALLS: AtomicUsize = const { AtomicUsize::new(0) };
}

impl Disk for Fragile {
    type File = usize;

    fn create(&self, name: &str) -> io::Result<usize> {
        let mut inner = self.inner.borrow_mut();
        self.call(&mut inner)?;
        // As O_TRUNC on a file that is there: its old content may be lost at once.
        inner.files.push((Vec::new(), 0));
        let file = inner.files.len() - 1;
        inner.names.insert(name.to_owned(), file);
        Ok(file)
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.inner.borrow_mut();
        self.call(&mut inner)?;
        inner.files[*file].0.push(bytes[0]);
        Ok(1)
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        self.call(&mut inner)?;
        if !self.lies_about_sync {
            inner.files[*file].1 = inner.files[*file].0.len();
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        self.call(&mut inner)?;
        let file = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        self.call(&mut inner)?;
        inner.durable = inner.names.clone();
        inner.pending.clear();
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let inner = self.inner.borrow();
        Ok(inner.names.get(name).map(|file| inner.files[*file].0.clone()))
    }

    fn exists(&self, name: &str) -> bool {
        self.inner.borrow().names.contains_key(name)
    }
}

const OLD: &[u8] = b"the old volumes";
const NEW: &[u8] = b"the new volumes, somewhat longer";

/// Replaces OLD by NEW with so many calls before the end; what was found afterwards, over all that may be.
fn cut_after(calls: usize, lies_about_sync: bool) -> (bool, Vec<Option<Vec<u8>>>) {
    CALLS.with(|done| done.store(0, Relaxed));
    let mut disk = Fragile::holding(OLD);
    disk.lies_about_sync = lies_about_sync;
    CALLS.with(|done| done.store(0, Relaxed));
    disk.calls_left = calls;
    let done = replace(&disk, NAME, NEW).is_ok();
    let mut worlds = disk.after_kill();
    worlds.extend(disk.after_power_cut());
    // What was interrupted once must not be in the way of the next.
    for world in &worlds {
        let before = load(world, NAME);
        replace(world, NAME, b"the next").unwrap();
        assert_eq!(load(world, NAME).unwrap(), b"the next", "after {before:?}");
    }
    let worlds = disk.after_kill().into_iter().chain(disk.after_power_cut());
    (done, worlds.map(|world| load(&world, NAME)).collect())
}

#[test]
fn stopped_after_any_call_and_any_byte_the_old_or_the_new_is_there_whole() {
    let all = format::seal(NEW).len() + 4;
    for calls in 0..=all {
        let (done, found) = cut_after(calls, false);
        assert_eq!(done, calls == all, "the calls are counted right");
        for state in &found {
            let state = state.as_deref().expect("a state after every cut");
            assert!(state == OLD || state == NEW, "{calls} calls: {state:?}");
            assert!(!done || state == NEW, "what was reported done is done");
        }
    }
}

#[test]
fn the_check_notices_a_disk_that_does_not_synchronise() {
    let calls = 0..=format::seal(NEW).len() + 4;
    let lost = |calls| cut_after(calls, true).1.iter().any(Option::is_none);
    assert!(calls.into_iter().any(lost));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed_and_set_aside() {
    let whole = format::seal(NEW);
    let flipped = (0..whole.len() * 8).map(|bit| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
    let longer = [whole.iter().chain(b"x").copied().collect()];
    for bytes in flipped.chain(cut).chain(longer) {
        let disk = Fragile::holding(OLD);
        let file = disk.create(NAME).unwrap();
        disk.inner.borrow_mut().files[file].0.clone_from(&bytes);

        assert_eq!(load(&disk, NAME), None, "{:?}", String::from_utf8_lossy(&bytes));
        assert!(!disk.exists(NAME));
        assert_eq!(disk.read("audiod.state.damaged-1").unwrap(), Some(bytes));
    }
}

#[test]
fn what_is_wrong_is_told_in_words() {
    let newer = b"carillon-state 2 0 00000000\n";
    assert_eq!(format::open(newer).unwrap_err(), Damage::Version { found: 2 });
    assert_eq!(format::open(b"").unwrap_err(), Damage::NotOurs);
    assert_eq!(
        format::open(b"carillon-state 1 5 00000000\nab").unwrap_err(),
        Damage::Length { said: 5, found: 2 }
    );
    assert_eq!(
        format::open(b"carillon-state 1 2 00000000\nab").unwrap_err(),
        Damage::Checksum
    );
}

#[test]
fn nine_unusable_files_are_kept_and_no_more() {
    let disk = Fragile::holding(OLD);
    for round in 0..12 {
        let file = disk.create(NAME).unwrap();
        disk.inner.borrow_mut().files[file].0 = vec![round];
        assert_eq!(load(&disk, NAME), None);
    }
    let inner = disk.inner.borrow();
    let kept: Vec<u8> = inner.names.values().map(|file| inner.files[*file].0[0]).collect();
    assert_eq!(kept, [0, 1, 2, 3, 4, 5, 6, 7, 11]);
}

/// A real folder that is gone afterwards.
struct Real(std::path::PathBuf);

impl Real {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("audiod-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn disk(&self) -> Folder {
        Folder::new(std::fs::File::open(&self.0).unwrap().into())
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_real_folder_keeps_what_was_saved_before_the_stop() {
    let folder = Real::new("stop");
    let store = Store::start(folder.disk(), NAME.to_owned()).unwrap();
    for round in 0..100_u8 {
        store.save(vec![round; 1000]);
    }
    store.stop();

    assert_eq!(load(&folder.disk(), NAME), Some(vec![99; 1000]));
    assert!(!folder.disk().exists("audiod.state.new"));
}

#[test]
fn what_is_saved_is_written_without_a_stop_too() {
    let folder = Real::new("soon");
    let store = Store::start(folder.disk(), NAME.to_owned()).unwrap();
    store.save(b"louder".to_vec());
    let end = Instant::now() + Duration::from_secs(20);
    while load(&folder.disk(), NAME).is_none() {
        assert!(Instant::now() < end, "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    store.stop();
}

/// Counts whole files, and fails the first.
struct Counting(Arc<AtomicUsize>, Folder);

impl Disk for Counting {
    type File = std::fs::File;

    fn create(&self, name: &str) -> io::Result<Self::File> {
        match self.0.fetch_add(1, Relaxed) {
            0 => Err(io::Error::other("no space")),
            _ => self.1.create(name),
        }
    }

    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(file, bytes)
    }

    fn sync(&self, file: &Self::File) -> io::Result<()> {
        self.1.sync(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.1.rename(from, to)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.1.sync_folder()
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.1.read(name)
    }

    fn exists(&self, name: &str) -> bool {
        self.1.exists(name)
    }
}

#[test]
fn a_flood_of_changes_is_gathered_and_a_failure_is_made_up_for() {
    let folder = Real::new("flood");
    let count = Arc::new(AtomicUsize::new(0));
    let store = Store::start(Counting(Arc::clone(&count), folder.disk()), NAME.to_owned()).unwrap();
    let begin = Instant::now();
    for round in 0..10_000_u32 {
        store.save(round.to_le_bytes().to_vec());
        if round == 5000 {
            // The first one fails before the last is saved.
            while count.load(Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    let most = 2 + begin.elapsed().as_millis() / GATHER.as_millis();
    store.stop();

    assert!(
        count.load(Relaxed) as u128 <= most,
        "{count:?} files for 10,000 changes"
    );
    assert_eq!(load(&folder.disk(), NAME), Some(9999_u32.to_le_bytes().to_vec()));
}
