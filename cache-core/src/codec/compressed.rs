//! Compression over another codec.

use erased_serde::Serialize;

use super::{Codec, CodecError, Place, ReadValue};

/// Compresses what another codec writes, where it is long enough and gets shorter.
///
/// ```text
/// one byte    'l' or 'z': what the other codec wrote follows; 'L' or 'Z': compressed
/// four bytes  if compressed, the length before, big-endian
/// the rest
/// ```
/// Whatever a frame says of its length, no more than [`max_bytes`](Compressed::max_bytes) is ever allocated for it, and with
/// LZ4 no more than 255 times the compressed length.
#[derive(Clone, Copy, Debug)]
#[must_use = "a codec does nothing until it is given to a builder"]
pub struct Compressed<C> {
    inner: C,
    method: Method,
    threshold: usize,
    max_bytes: usize,
}

/// The window that frames of short values may ask for.
#[cfg(feature = "zstd")]
const ZSTD_WINDOW: u64 = 1 << 20;

/// How to compress.
#[derive(Clone, Copy, Debug)]
enum Method {
    #[cfg(feature = "lz4")]
    Lz4,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl<C> Compressed<C> {
    /// From how many bytes on values are compressed, unless told otherwise: 1 KiB.
    pub const DEFAULT_THRESHOLD: usize = 1_024;
    /// How long a value may be before it is compressed, unless told otherwise: 16 MiB.
    pub const DEFAULT_MAX_BYTES: usize = 16 * 1_024 * 1_024;

    /// Compresses by LZ4: little work, text gets about half as long.
    ///
    /// ```
    /// use cache_core::CachingService;
    /// use cache_core::codec::{Compressed, Json};
    ///
    /// let codec = Compressed::lz4(Json).threshold(4_096);
    /// let builder = CachingService::<()>::builder().codec(codec);
    /// # let _ = builder;
    /// ```
    #[cfg(feature = "lz4")]
    pub const fn lz4(inner: C) -> Self {
        Self::new(inner, Method::Lz4)
    }

    /// Compresses by Zstandard, at its fastest level: more work than LZ4, and shorter. It is written in Rust alone; what it writes
    /// is plain Zstandard, and values of every level can be read.
    ///
    /// ```
    /// use cache_core::CachingService;
    /// use cache_core::codec::{Compressed, Json};
    ///
    /// let builder = CachingService::<()>::builder().codec(Compressed::zstd(Json));
    /// # let _ = builder;
    /// ```
    #[cfg(feature = "zstd")]
    pub const fn zstd(inner: C) -> Self {
        Self::new(inner, Method::Zstd)
    }

    const fn new(inner: C, method: Method) -> Self {
        Self { inner, method, threshold: Self::DEFAULT_THRESHOLD, max_bytes: Self::DEFAULT_MAX_BYTES }
    }

    /// Values of fewer bytes, as the other codec writes them, are left as they are. Default: 1,024.
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// A value that is longer before it is compressed is not written, and kept in near tiers only; one that would get longer
    /// when decompressed is not read, and counts as a miss. Default: 16 MiB. At most 4 GiB.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

impl Method {
    /// The byte before what was left as it is.
    const fn plain(self) -> u8 {
        self.packed().to_ascii_lowercase()
    }

    /// The byte before what was compressed.
    const fn packed(self) -> u8 {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => b'L',
            #[cfg(feature = "zstd")]
            Self::Zstd => b'Z',
        }
    }

    const fn flag(self) -> u8 {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => super::LZ4_FLAG,
            #[cfg(feature = "zstd")]
            Self::Zstd => super::ZSTD_FLAG,
        }
    }

    fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => lz4_flex::block::compress(bytes),
            #[cfg(feature = "zstd")]
            Self::Zstd => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        }
    }

    /// How long what is packed in so many bytes can be at the most.
    const fn longest(self, packed: usize) -> usize {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => packed.saturating_mul(255),
            // A few bytes may stand for a block of one byte repeated.
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                if packed == 0 {
                    0
                } else {
                    usize::MAX
                }
            }
        }
    }

    /// Fills `into` and tells how many bytes there were.
    fn unpack(self, packed: &[u8], into: &mut [u8]) -> Result<usize, CodecError> {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => lz4_flex::block::decompress_into(packed, into).map_err(CodecError::new),
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                let mut decoder = ruzstd::decoding::FrameDecoder::new();
                // What it keeps beside the output, and allocates first.
                decoder.set_max_window_size((into.len() as u64).max(ZSTD_WINDOW));
                decoder.decode_all(packed, into).map_err(CodecError::new)
            }
        }
    }
}

impl<C: Codec> Codec for Compressed<C> {
    fn id(&self) -> u8 {
        self.inner.id() | self.method.flag()
    }

    fn encode(&self, place: Place<'_>, value: &dyn Serialize, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = bytes.len();
        bytes.push(self.method.plain());
        self.inner.encode(place, value, bytes)?;
        let plain = &bytes[start + 1..];
        let Some(length) = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= self.max_bytes) else {
            return Err(CodecError::new("the value is longer than the codec's max_bytes"));
        };
        if plain.len() < self.threshold {
            return Ok(());
        }
        let packed = self.method.pack(plain);
        if packed.len() + size_of_val(&length) < plain.len() {
            bytes.truncate(start);
            bytes.push(self.method.packed());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&packed);
        }
        Ok(())
    }

    fn decode(&self, place: Place<'_>, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError> {
        match bytes.split_first() {
            Some((mark, plain)) if *mark == self.method.plain() => {
                if plain.len() > self.max_bytes {
                    return Err(CodecError::new("it is longer than the codec's max_bytes"));
                }
                self.inner.decode(place, plain, read)
            }
            Some((mark, rest)) if *mark == self.method.packed() => self.inner.decode(place, &self.unpack(rest)?, read),
            _ => Err(CodecError::new("it was not written by this codec")),
        }
    }
}

impl<C> Compressed<C> {
    fn unpack(&self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        let Some((length, packed)) = bytes.split_first_chunk() else {
            return Err(CodecError::new("it is cut off"));
        };
        let length = u32::from_be_bytes(*length) as usize;
        // Before anything is allocated.
        if length > self.max_bytes.min(self.method.longest(packed.len())) {
            return Err(CodecError::new("it would get longer than the codec's max_bytes, or than can be"));
        }
        let mut plain = vec![0; length];
        if self.method.unpack(packed, &mut plain)? != length {
            return Err(CodecError::new("it is not as long as it says"));
        }
        Ok(plain)
    }
}
