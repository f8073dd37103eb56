use super::*;
use proptest::prelude::*;

const IDS: ExtensionIds =
    ExtensionIds { mid: 4, rid: 10, repaired_rid: 11, transport_sequence: 3, audio_level: 1, dependency: 12 };

fn packet(dependency: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0xFF; 512];
    Header::write(&mut out, true, 96, 513, 0xDEAD_BEEF, 7);
    let mut writer = ExtensionWriter::new(&mut out, Header::LENGTH, dependency.len(), 12);
    writer.put(IDS.mid, b"10");
    writer.put(IDS.transport_sequence, &[1, 2]);
    writer.put(IDS.audio_level, &[0x85]);
    writer.put(0, b"not negotiated");
    writer.put(IDS.dependency, dependency);
    let end = writer.finish();
    out[end..end + payload.len()].copy_from_slice(payload);
    out.truncate(end + payload.len());
    out
}

#[test]
fn what_was_written_is_read_in_both_forms() {
    for length in [1, 3, 16, 17, 200] {
        let dependency = vec![9; length];
        let bytes = packet(&dependency, b"frame");
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.sequence, header.timestamp, header.ssrc), (513, 0xDEAD_BEEF, 7));
        assert!(header.marker && !header.padded);
        assert_eq!(&bytes[header.end..], b"frame");
        let found = Extensions::parse(&bytes, &header, &IDS);
        assert_eq!(found.mid, Some(&b"10"[..]));
        assert_eq!(found.transport_sequence, Some(0x0102));
        assert_eq!(found.audio_level, Some(0x85));
        assert_eq!(found.dependency, Some(&dependency[..]));
        assert_eq!((found.rid, found.repaired_rid), (None, None));
    }
}

#[test]
fn padding_ends_the_payload_and_cannot_lie() {
    let mut bytes = packet(&[1], b"frame\0\0\x03");
    bytes[0] |= 0x20;
    let header = Header::parse(&bytes).unwrap();
    assert_eq!(header.payload_end(&bytes), Some(bytes.len() - 3));
    for lie in [0, 200] {
        *bytes.last_mut().unwrap() = lie;
        assert_eq!(header.payload_end(&bytes), None);
    }
}

#[test]
fn sequence_numbers_unwrap_to_the_nearest() {
    assert_eq!(unwrap(65_535, 0), 65_536);
    assert_eq!(unwrap(65_536, 65_535), 65_535);
    assert_eq!(unwrap(200_000, 200_010_u32 as u16), 200_010);
    assert_eq!(unwrap(3, 65_533), 65_533);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), first in 0x80_u8..0xC0) {
        let mut bytes = bytes;
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        if let Some(header) = Header::parse(&bytes) {
            prop_assert!(header.end <= bytes.len());
            prop_assert!(header.payload_end(&bytes).is_none_or(|end| end >= header.end && end <= bytes.len()));
            Extensions::parse(&bytes, &header, &IDS);
        }
    }

    #[test]
    fn unwrapping_undoes_cutting(reference in 40_000_u64..1 << 40, step in -32_768_i64..32_768) {
        let number = reference.checked_add_signed(step).unwrap();
        prop_assert_eq!(unwrap(reference, number as u16), number);
    }
}
