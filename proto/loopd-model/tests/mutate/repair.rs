//! Makes checksums right again, as far as the lengths still make sense.

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> usize {
    let field = bytes.get(at..at + 4).and_then(|field| field.first_chunk());
    field.map_or(0, |&field| u32::from_le_bytes(field) as usize)
}

pub(crate) fn segment(bytes: &mut [u8]) {
    let body = bytes.len() - 4;
    write_crc(bytes, body, 0..body);
}

pub(crate) fn stored(bytes: &mut [u8]) {
    let mut entries = Vec::new();
    let _ = stored_entries(bytes, &mut entries);
    parts_and_head(bytes, entries);
}

fn stored_entries(bytes: &[u8], entries: &mut Vec<(usize, usize)>) -> Option<()> {
    let mut reader = Reader { at: 72, end: u32_at(bytes, 8) };
    let (spans, locations, groups) = (u32_at(bytes, 16), u32_at(bytes, 24), u32_at(bytes, 28));
    for _ in 0..locations {
        reader.varint(bytes)?;
    }
    for _ in 0..spans.div_ceil(256) {
        entries.push(reader.entry(bytes)?);
        for _ in 0..4 {
            reader.varint(bytes)?;
        }
    }
    for _ in 0..groups {
        entries.push(reader.entry(bytes)?);
        reader.at += 1;
        reader.varint(bytes)?;
    }
    Some(())
}

pub(crate) fn table(bytes: &mut [u8]) {
    let mut entries = Vec::new();
    let _ = table_entries(bytes, &mut entries);
    parts_and_head(bytes, entries);
}

fn table_entries(bytes: &[u8], entries: &mut Vec<(usize, usize)>) -> Option<()> {
    let mut reader = Reader { at: 20 + 2 * usize::from(bytes[16]), end: u32_at(bytes, 8) };
    for _ in 0..u32_at(bytes, 12).div_ceil(256) {
        entries.push(reader.entry(bytes)?);
        reader.varint(bytes)?;
        reader.varint(bytes)?;
    }
    Some(())
}

/// The parts' checksums are in the head, whose own comes last.
fn parts_and_head(bytes: &mut [u8], entries: Vec<(usize, usize)>) {
    let head = u32_at(bytes, 8);
    let mut at = head;
    for (crc, len) in entries {
        let end = at.saturating_add(len);
        write_crc(bytes, crc, at..end);
        at = end;
    }
    if let Some(body) = head.checked_sub(4) {
        write_crc(bytes, body, 0..body);
    }
}

fn write_crc(bytes: &mut [u8], at: usize, of: std::ops::Range<usize>) {
    let Some(crc) = bytes.get(of).map(crc32fast::hash) else { return };
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
}

struct Reader {
    at: usize,
    end: usize,
}

impl Reader {
    /// Where the checksum of a part is, and how long the part is.
    fn entry(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        let len = self.varint(bytes)?;
        let crc = self.at;
        self.at += 4;
        (self.at <= self.end).then_some((crc, len as usize))
    }

    fn varint(&mut self, bytes: &[u8]) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *bytes.get(self.at).filter(|_| self.at < self.end)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
