//! The thread that writes the journal, and reads those of other processes.
//!
//! This file decides when a file is written anew (it has grown beyond what is remembered, or
//! something could not be written), and how a broken one is read: record by record, and what is no
//! record is passed over. It must not know what a record says.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::folder::{Folder, abandoned};
use super::unix_ms;
use crate::dialect::told::{Memory, RECORD_BYTES, Record};
use crate::edge::now;

/// How often others' journals are looked at, and this one is brought to the disk.
const LOOK: Duration = Duration::from_millis(250);
const SYNC: Duration = Duration::from_secs(1);
/// Most records that are written, or read, at once.
const BATCH: usize = 1_024;
/// A journal that is smaller is not written anew.
const BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Nor one that holds no more than so many records for each that is remembered.
const RECORDS_EACH: u64 = 4;
/// Most bytes of one journal that are read.
const READ_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long writing rests after it has failed.
const REST: Duration = Duration::from_secs(10);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    Note(Record),
    Stop,
}

/// This process's journal.
#[derive(Debug)]
struct Own {
    place: PathBuf,
    file: File,
    bytes: u64,
    /// Whether something of it is not on the disk.
    dirty: bool,
}

#[derive(Debug)]
pub(super) struct Writer {
    folder: Folder,
    memory: Arc<Memory>,
    own: Own,
    /// How far others' journals are read.
    others: HashMap<PathBuf, u64>,
    lost: Arc<AtomicU64>,
    /// What was lost or evicted when the record was last said to be whole.
    missed: u64,
    synced: Instant,
    /// Since when writing fails.
    failed: Option<Instant>,
}

impl Writer {
    /// Reads all journals, writes what they say into a new one, and removes those whose process is
    /// gone.
    pub(super) fn open(
        folder: Folder,
        memory: Arc<Memory>,
        lost: Arc<AtomicU64>,
        unix_ms: u64,
    ) -> io::Result<Self> {
        let mut others = HashMap::new();
        let mut gone = Vec::new();
        for place in folder.journals()? {
            // One that has just been removed was read by whoever did so, into its own.
            let Some(file) = open_if_there(&place)? else { continue };
            let is_gone = abandoned(&file)?;
            let read = read_on(&file, 0, &memory)?;
            if is_gone {
                gone.push((place, file));
            } else {
                others.insert(place, read);
            }
        }
        if memory.begun() == 0 {
            memory.begin(unix_ms);
        }
        let own = write_anew(&folder, &memory, unix_ms, |_| Ok(()))?;
        for (place, _locked) in gone {
            std::fs::remove_file(place)?;
        }
        let (missed, synced) = (memory.evicted(), now());
        Ok(Self { folder, memory, own, others, lost, missed, synced, failed: None })
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH * RECORD_BYTES);
        let mut looked = now();
        loop {
            let mut goes_on = true;
            match messages.recv_timeout(LOOK) {
                Ok(Message::Note(record)) => {
                    batch.extend_from_slice(&record.to_bytes(&self.memory));
                    while batch.len() < BATCH * RECORD_BYTES {
                        match messages.try_recv() {
                            Ok(Message::Note(record)) => {
                                batch.extend_from_slice(&record.to_bytes(&self.memory));
                            }
                            Ok(Message::Stop) => goes_on = false,
                            Err(_) => break,
                        }
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => goes_on = false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.append(&batch);
            batch.clear();
            if now() >= looked + LOOK {
                looked = now();
                self.look_around();
                self.tend(messages);
            }
            if !goes_on {
                self.finish(messages);
                return;
            }
        }
    }

    /// Writes what was noted before the end.
    fn finish(&mut self, messages: &Receiver<Message>) {
        let mut rest = Vec::new();
        while let Ok(message) = messages.try_recv() {
            if let Message::Note(record) = message {
                rest.extend_from_slice(&record.to_bytes(&self.memory));
            }
        }
        self.append(&rest);
        self.say_what_is_missing();
        if let Err(error) = self.own.file.sync_data() {
            tracing::error!(%error, "the journal of tokens can't be brought to the disk");
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.failed.is_some() {
            self.lose(bytes);
            return;
        }
        if let Err(error) = self.own.append(bytes) {
            tracing::error!(%error, "the journal of tokens can't be written; it is tried again");
            self.failed = Some(now());
            self.lose(bytes);
        }
    }

    fn lose(&self, bytes: &[u8]) {
        self.lost.fetch_add((bytes.len() / RECORD_BYTES) as u64, Ordering::Relaxed);
    }

    /// Brings what was written to the disk, and writes the file anew where that is due.
    fn tend(&mut self, messages: &Receiver<Message>) {
        self.say_what_is_missing();
        let records_max = (self.memory.len() as u64).saturating_mul(RECORDS_EACH);
        let too_long = self.own.bytes > BYTES_MIN.max(records_max * RECORD_BYTES as u64);
        let retried = self.failed.is_some_and(|since| now() >= since + REST);
        if too_long || retried {
            self.rewrite(messages);
        }
        if self.own.dirty && self.failed.is_none() && now() >= self.synced + SYNC {
            self.synced = now();
            self.own.dirty = false;
            if let Err(error) = self.own.file.sync_data() {
                tracing::error!(%error, "the journal of tokens can't be brought to the disk");
                self.failed = Some(now());
            }
        }
    }

    fn rewrite(&mut self, messages: &Receiver<Message>) {
        let memory = self.memory.clone();
        // What is noted meanwhile goes behind what was copied before it.
        let written = write_anew(&self.folder, &memory, unix_ms(), |file| {
            let mut noted = Vec::new();
            for message in messages.try_iter().take(BATCH) {
                match message {
                    Message::Note(record) => noted.extend_from_slice(&record.to_bytes(&memory)),
                    // It is said again until it is heard.
                    Message::Stop => {}
                }
            }
            file.append(&noted)
        });
        match written {
            Ok(own) => {
                let old = std::mem::replace(&mut self.own, own);
                self.failed = None;
                if let Err(error) = std::fs::remove_file(&old.place) {
                    tracing::warn!(%error, "an old journal of tokens can't be removed");
                }
            }
            Err(error) => {
                tracing::error!(%error, "the journal of tokens can't be written anew");
                self.failed = Some(now());
            }
        }
    }

    /// Where something was lost or forgotten early, the record of owners begins anew.
    fn say_what_is_missing(&mut self) {
        let missed = self.lost.load(Ordering::Relaxed).saturating_add(self.memory.evicted());
        if missed != self.missed {
            self.missed = missed;
            let begun = unix_ms();
            self.memory.begin(begun);
            self.append(&Record::Begun(begun).to_bytes(&self.memory));
        }
    }

    /// Reads what others have written.
    fn look_around(&mut self) {
        let looked = self.folder.journals().and_then(|places| {
            self.others.retain(|known, _| places.contains(known));
            for place in places.into_iter().filter(|place| *place != self.own.place) {
                let Some(file) = open_if_there(&place)? else { continue };
                let from = self.others.get(&place).copied().unwrap_or_default();
                let read = read_on(&file, from, &self.memory)?;
                self.others.insert(place, read);
            }
            Ok(())
        });
        if let Err(error) = looked {
            tracing::warn!(%error, "others' journals of tokens can't be read");
        }
    }
}

impl Own {
    /// Appends whole records: where it fails half way, what was written of them is cut off again.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        if written.is_err() {
            let _ = self.file.set_len(self.bytes);
            return written;
        }
        self.bytes += bytes.len() as u64;
        self.dirty = true;
        Ok(())
    }
}

/// Writes all that is remembered into a new journal. It is on the disk when this returns.
fn write_anew(
    folder: &Folder,
    memory: &Memory,
    unix_ms: u64,
    mut between: impl FnMut(&mut Own) -> io::Result<()>,
) -> io::Result<Own> {
    let (place, file) = folder.make(unix_ms)?;
    let mut own = Own { place, file, bytes: 0, dirty: false };
    let mut written = own.append(&Record::Begun(memory.begun()).to_bytes(memory));
    memory.each_piece(|records| {
        if written.is_ok() {
            let bytes: Vec<u8> =
                records.iter().flat_map(|record| record.to_bytes(memory)).collect();
            written = own.append(&bytes).and_then(|()| between(&mut own));
        }
    });
    let written = written.and_then(|()| own.file.sync_data());
    if written.is_err() {
        let _ = std::fs::remove_file(&own.place);
    }
    written.map(|()| own)
}

fn open_if_there(place: &Path) -> io::Result<Option<File>> {
    match File::open(place) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes over what a journal says from an offset on, and gives the offset to go on from. A record
/// that is not whole yet is left; one that is broken is passed over.
fn read_on(file: &File, from: u64, memory: &Memory) -> io::Result<u64> {
    let mut at = from;
    let mut bytes = vec![0; BATCH * RECORD_BYTES];
    while at < READ_BYTES_MAX {
        let count = file.read_at(&mut bytes, at)?;
        let (records, _) = bytes.get(..count).unwrap_or_default().as_chunks::<RECORD_BYTES>();
        if records.is_empty() {
            break;
        }
        let now = now();
        for record in records.iter().filter_map(|bytes| Record::read(bytes, memory)) {
            memory.take_over(&record, now);
        }
        at += (records.len() * RECORD_BYTES) as u64;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::dialect::told::{KEY_BYTES, Owner, Tokens};

    fn memory() -> Arc<Memory> {
        Arc::new(Memory::durable(&[7; KEY_BYTES], now(), unix_ms()))
    }

    #[test]
    fn a_full_disk_costs_no_call_and_is_made_good() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().join("state");
        let (memory, lost) = (memory(), Arc::new(AtomicU64::new(0)));
        let folder = Folder::open(&place).unwrap();
        let mut writer = Writer::open(folder, memory.clone(), lost.clone(), 1).unwrap();
        let good = std::mem::replace(
            &mut writer.own.file,
            OpenOptions::new().append(true).open("/dev/full").unwrap(),
        );
        let (access, refresh) = (("at", Duration::from_secs(60)), Some("rt"));
        let (target, client, presented, username) = ("B", "C", None, None);
        memory.tell(&Tokens { target, client, access, refresh, presented, username }, now());
        writer.append(&Record::Begun(2).to_bytes(&memory));
        writer.append(&Record::Begun(3).to_bytes(&memory));
        assert_eq!((lost.load(Ordering::Relaxed), writer.failed.is_some()), (2, true));
        drop(good);
        // There is room again: all that is remembered is written, also what was lost.
        writer.failed = now().checked_sub(REST);
        let (_sender, messages) = sync_channel(1);
        writer.tend(&messages);
        assert!(writer.failed.is_none());
        drop(writer);
        let next = self::memory();
        let folder = Folder::open(&place).unwrap();
        drop(Writer::open(folder, next.clone(), lost, 5).unwrap());
        assert_eq!(next.owner("B", "C", "rt", now()), Owner::Own);
        assert!(next.begun() > 1_000_000, "what was missed is not taken for known");
    }

    #[test]
    fn a_journal_that_has_grown_is_written_anew_with_what_is_noted_meanwhile() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().join("state");
        let (memory, lost) = (memory(), Arc::default());
        let folder = Folder::open(&place).unwrap();
        let mut writer = Writer::open(folder, memory.clone(), lost, 1).unwrap();
        writer.own.bytes = BYTES_MIN + 1;
        let (sender, messages) = sync_channel(8);
        let (other, access) = (self::memory(), ("at", Duration::from_secs(60)));
        let (target, client, presented, username) = ("B", "C", None, None);
        let refresh = Some("rt");
        other.tell(&Tokens { target, client, access, refresh, presented, username }, now());
        other.each_piece(|records| {
            records.into_iter().for_each(|record| sender.send(Message::Note(record)).unwrap());
        });
        writer.tend(&messages);
        assert!(writer.own.bytes < 1_000);
        assert_eq!(writer.folder.journals().unwrap(), [writer.own.place.clone()]);
        drop(writer);
        let next = self::memory();
        drop(Writer::open(Folder::open(&place).unwrap(), next.clone(), Arc::default(), 5).unwrap());
        assert_eq!(next.owner("B", "C", "rt", now()), Owner::Own);
    }
}
