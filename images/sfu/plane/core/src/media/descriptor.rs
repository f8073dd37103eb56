//! The clear part of a video packet: payload descriptors of VP8 (RFC 7741) and VP9 (RFC 9628) and the first bytes
//! of the Dependency Descriptor. The frame behind them is encrypted end to end and never looked at, but for the
//! one bit of VP8 that says "key frame", which the client leaves in the clear.

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Any packet can be the first.
    Opus,
    /// With or without Dependency Descriptor.
    Vp8,
    /// With or without Dependency Descriptor.
    Vp9,
}

impl Codec {
    /// Whether a subscriber can only begin at a key frame.
    pub const fn is_video(self) -> bool {
        !matches!(self, Self::Opus)
    }

    /// Ticks of the RTP clock in a second.
    pub const fn clock_rate(self) -> u32 {
        if self.is_video() { 90_000 } else { 48_000 }
    }
}

/// What the plane reads of one packet. Offsets are within the payload, 0 for "not there".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The packet starts a frame from which decoding can begin.
    pub starts_key_frame: bool,
    /// 7 or 15 bits.
    pub picture_id: u16,
    /// VP8's TL0PICIDX, VP9's in non-flexible mode.
    pub base_index: u8,
    /// Where the picture id stands.
    pub picture_id_at: u8,
    /// The picture id has 15 bits.
    pub is_long: bool,
    /// Where the base index stands.
    pub base_index_at: u8,
    /// The Dependency Descriptor's frame number.
    pub frame_number: u16,
}

impl Descriptor {
    /// Reads what `codec` puts in front of the frame; `None` when the descriptor is cut.
    pub fn parse(codec: Codec, payload: &[u8], dependency: Option<&[u8]>) -> Option<Self> {
        let mut found = match codec {
            Codec::Opus => return Some(Self { starts_key_frame: true, ..Self::default() }),
            Codec::Vp8 => vp8(payload)?,
            Codec::Vp9 => vp9(payload)?,
        };
        if let Some(bytes) = dependency {
            let fixed = bytes.first_chunk::<3>()?;
            let has_structure = bytes.get(3).is_some_and(|flags| flags & 0x80 != 0);
            found.starts_key_frame = fixed[0] & 0x80 != 0 && has_structure;
            found.frame_number = u16::from_be_bytes([fixed[1], fixed[2]]);
        }
        Some(found)
    }

    /// Moves picture id and base index in `payload`, which starts as the parsed one did.
    pub fn shift(&self, payload: &mut [u8], picture_offset: u16, base_offset: u8) {
        if self.picture_id_at != 0 && picture_offset != 0 {
            let at = usize::from(self.picture_id_at);
            let moved = self.picture_id.wrapping_add(picture_offset);
            if self.is_long {
                payload[at..at + 2].copy_from_slice(&(moved | 0x8000).to_be_bytes());
            } else {
                payload[at] = (moved & 0x7F) as u8;
            }
        }
        if self.base_index_at != 0 && base_offset != 0 {
            payload[usize::from(self.base_index_at)] = self.base_index.wrapping_add(base_offset);
        }
    }
}

/// A picture id at `at` and the place behind it.
fn picture_id(payload: &[u8], at: usize, found: &mut Descriptor) -> Option<usize> {
    let first = *payload.get(at)?;
    found.picture_id_at = at as u8;
    found.is_long = first & 0x80 != 0;
    if found.is_long {
        found.picture_id = u16::from_be_bytes([first & 0x7F, *payload.get(at + 1)?]);
        return Some(at + 2);
    }
    found.picture_id = first.into();
    Some(at + 1)
}

fn vp8(payload: &[u8]) -> Option<Descriptor> {
    let mut found = Descriptor::default();
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        let fields = *payload.get(1)?;
        at = 2;
        if fields & 0x80 != 0 {
            at = picture_id(payload, at, &mut found)?;
        }
        if fields & 0x40 != 0 {
            found.base_index = *payload.get(at)?;
            found.base_index_at = at as u8;
            at += 1;
        }
        if fields & 0x30 != 0 {
            at += 1;
        }
    }
    let starts_frame = first & 0x10 != 0 && first & 0x07 == 0;
    found.starts_key_frame = starts_frame && payload.get(at)? & 0x01 == 0;
    Some(found)
}

fn vp9(payload: &[u8]) -> Option<Descriptor> {
    let mut found = Descriptor::default();
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        at = picture_id(payload, at, &mut found)?;
    }
    let mut spatial = 0;
    if first & 0x20 != 0 {
        spatial = (payload.get(at)? >> 1) & 0x07;
        at += 1;
        if first & 0x10 == 0 {
            found.base_index = *payload.get(at)?;
            found.base_index_at = at as u8;
        }
    }
    let (is_inter, begins) = (first & 0x40 != 0, first & 0x08 != 0);
    found.starts_key_frame = begins && !is_inter && spatial == 0;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vp8_key_frames_start_where_the_clear_bit_says() {
        let starts = |bytes: &[u8]| Descriptor::parse(Codec::Vp8, bytes, None).unwrap().starts_key_frame;
        assert!(starts(&[0x10, 0x00]));
        assert!(!starts(&[0x10, 0x01]), "delta frame");
        assert!(!starts(&[0x00, 0x00]), "not the first packet");
        assert!(starts(&[0x90, 0x80, 0x81, 0x02, 0x10]));
    }

    #[test]
    fn vp8_numbers_are_found_and_moved() {
        let mut payload = [0x90, 0xE0, 0x81, 0x02, 7, 0x20, 0x01, 0xAA];
        let found = Descriptor::parse(Codec::Vp8, &payload, None).unwrap();
        assert_eq!((found.picture_id, found.base_index), (0x0102, 7));
        found.shift(&mut payload, 0xFFFF, 250);
        assert_eq!(payload, [0x90, 0xE0, 0x81, 0x01, 1, 0x20, 0x01, 0xAA]);
        let mut short = [0x90, 0x80, 0x7F, 0x01];
        Descriptor::parse(Codec::Vp8, &short, None).unwrap().shift(&mut short, 2, 9);
        assert_eq!(short, [0x90, 0x80, 0x01, 0x01]);
    }

    #[test]
    fn vp9_key_frames_start_in_the_lowest_layer() {
        let starts = |bytes: &[u8]| Descriptor::parse(Codec::Vp9, bytes, None).unwrap().starts_key_frame;
        assert!(starts(&[0x88, 0x01]));
        assert!(!starts(&[0xC8, 0x01]), "inter-predicted");
        assert!(!starts(&[0x80, 0x01]), "not the first packet");
        assert!(starts(&[0xA8, 0x01, 0x00, 0x05]));
        assert!(!starts(&[0xA8, 0x01, 0x02, 0x05]), "spatial layer 1");
    }

    #[test]
    fn a_dependency_descriptor_outranks_the_payload() {
        let with = |bytes: &[u8]| Descriptor::parse(Codec::Vp8, &[0x10, 0x01], Some(bytes));
        let key = with(&[0xC0, 0x12, 0x34, 0x80]).unwrap();
        assert!(key.starts_key_frame);
        assert_eq!(key.frame_number, 0x1234);
        assert!(!with(&[0xC0, 0x12, 0x34]).unwrap().starts_key_frame);
        assert!(!with(&[0x40, 0x12, 0x34, 0x80]).unwrap().starts_key_frame);
        assert_eq!(with(&[0xC0, 0x12]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..12), picture: u16, base: u8) {
            for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9] {
                let mut payload = payload.clone();
                if let Some(found) = Descriptor::parse(codec, &payload, Some(&payload.clone())) {
                    found.shift(&mut payload, picture, base);
                    let again = Descriptor::parse(codec, &payload, None).unwrap();
                    prop_assert_eq!(again.picture_id_at, found.picture_id_at);
                }
            }
        }
    }
}
