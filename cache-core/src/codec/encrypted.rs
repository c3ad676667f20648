//! Encryption over another codec.

use std::fmt;

use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use erased_serde::Serialize;

use super::{Codec, CodecError, Place, ReadValue};
use crate::error::Error;

/// Encrypts what another codec writes, by XChaCha20-Poly1305, so that far tiers never see a value.
///
/// Each value is bound to its namespace and key: one that somebody moves to another key, or changes by a bit, cannot be
/// decrypted and counts as a miss. An earlier value of the same key, put back by somebody with access to the tier, can; and
/// keys, tags, lengths and times to live are not hidden. To compress as well, compress inside:
/// `Encrypted::new(Compressed::lz4(Json), keys)`.
///
/// It is the variant of ChaCha20-Poly1305 with a nonce of 192 bits, since nonces are random: of 96 bits two would be expected
/// to meet after some billions of writes.
///
/// ```
/// use cache_core::CachingService;
/// use cache_core::codec::{Encrypted, Json, KeyRing};
///
/// # fn secret(_: &str) -> [u8; 32] { [7; 32] }
/// // The newest key encrypts, all decrypt.
/// let keys = KeyRing::new(2, &secret("cache-key-2")).older(1, &secret("cache-key-1"))?;
/// let builder = CachingService::<()>::builder().codec(Encrypted::new(Json, keys));
/// # let _ = builder;
/// # Ok::<(), cache_core::Error>(())
/// ```
///
/// ```text
/// one byte    1, the layout
/// four bytes  the id of the key, big-endian
/// 24 bytes    the nonce
/// the rest    what the other codec wrote, encrypted, and 16 bytes by which a change is noticed
/// ```
#[derive(Debug)]
#[must_use = "a codec does nothing until it is given to a builder"]
pub struct Encrypted<C> {
    inner: C,
    keys: KeyRing,
}

/// The secrets of an [`Encrypted`], by their ids. They are wiped from memory when dropped, and never shown.
///
/// To rotate: first let every node know the new key as an [`older`](KeyRing::older) one, then make it the newest everywhere,
/// and take the old one out when every value that it encrypted has run out.
pub struct KeyRing {
    /// The newest first.
    ciphers: Vec<(u32, XChaCha20Poly1305)>,
}

/// The layout, and the start of what is authenticated along.
const LAYOUT: u8 = 1;
const NONCE_BYTES: usize = 24;

impl KeyRing {
    /// A ring of one key, which encrypts. The id is stored with each value; it is no secret. The key is 32 bytes from a random
    /// number generator or a key derivation, and not a password.
    #[must_use]
    pub fn new(id: u32, key: &[u8; 32]) -> Self {
        Self { ciphers: vec![(id, XChaCha20Poly1305::new(key.into()))] }
    }

    /// The same ring with a further key, which only decrypts.
    ///
    /// # Errors
    /// There is a key of this id already.
    pub fn older(mut self, id: u32, key: &[u8; 32]) -> Result<Self, Error> {
        if self.cipher(id).is_some() {
            return Err(Error::configuration(format!("key ring: id {id} is given twice; give each key its own")));
        }
        self.ciphers.push((id, XChaCha20Poly1305::new(key.into())));
        Ok(self)
    }

    fn cipher(&self, id: u32) -> Option<&XChaCha20Poly1305> {
        self.ciphers.iter().find(|(known, _)| *known == id).map(|(_, cipher)| cipher)
    }
}

impl fmt::Debug for KeyRing {
    /// Keys are secrets, so only their ids are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ciphers.iter().map(|(id, _)| id)).finish()
    }
}

impl<C> Encrypted<C> {
    /// Encrypts what `inner` writes by the newest of `keys`.
    pub const fn new(inner: C, keys: KeyRing) -> Self {
        Self { inner, keys }
    }
}

impl<C: Codec> Codec for Encrypted<C> {
    fn id(&self) -> u8 {
        self.inner.id() | super::ENCRYPTED_FLAG
    }

    fn encode(&self, place: Place<'_>, value: &dyn Serialize, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut plain = Vec::new();
        self.inner.encode(place, value, &mut plain)?;
        let Some((id, cipher)) = self.keys.ciphers.first() else { return Err(CodecError::new("there is no key")) };
        let nonce = XNonce::try_generate().map_err(|_| CodecError::new("the system gives no random numbers"))?;
        let payload = Payload { msg: &plain, aad: &bound_to(*id, place) };
        let sealed = cipher.encrypt(&nonce, payload).map_err(|_| CodecError::new("it could not be encrypted"))?;
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(())
    }

    fn decode(&self, place: Place<'_>, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError> {
        let parts = || {
            let rest = bytes.strip_prefix(&[LAYOUT])?;
            let (id, rest) = rest.split_first_chunk()?;
            let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
            Some((u32::from_be_bytes(*id), nonce, sealed))
        };
        let Some((id, nonce, sealed)) = parts() else {
            return Err(CodecError::new("it was not written by this codec"));
        };
        let Some(cipher) = self.keys.cipher(id) else { return Err(CodecError::new("its key is unknown")) };
        let payload = Payload { msg: sealed, aad: &bound_to(id, place) };
        let plain = cipher.decrypt(nonce.into(), payload);
        // It does not say which, by design.
        let plain = plain.map_err(|_| CodecError::new("it was changed, moved, or encrypted by another key"))?;
        self.inner.decode(place, &plain, read)
    }
}

/// What a value is authenticated along with: it holds under this key only.
fn bound_to(id: u32, place: Place<'_>) -> Vec<u8> {
    // Lengths first, so that no two places read alike.
    let length = (place.namespace.len() as u64).to_be_bytes();
    [&[LAYOUT][..], &id.to_be_bytes(), &length, place.namespace.as_bytes(), place.key.as_bytes()].concat()
}
