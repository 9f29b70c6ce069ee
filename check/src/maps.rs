//! Maps and sets by names.
//!
//! Names are numbers that this program gave itself: nobody can choose them so that
//! they collide, and a multiplication spreads them well enough.
//!
//! Invariants: only for keys made of names.

use std::{
    collections,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by names.
pub(crate) type Map<K, V> = collections::HashMap<K, V, BuildHasherDefault<Spread>>;
/// A set of names.
pub(crate) type Set<K> = collections::HashSet<K, BuildHasherDefault<Spread>>;

/// Spreads small numbers over all bits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.0 ^= self.0 >> 29;
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }
}
