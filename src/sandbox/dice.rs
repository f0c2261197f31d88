//! Deterministic random numbers: a roll depends on the seed and on what is rolled for, never on a clock or on the order of
//! requests.

/// Finaliser of `SplitMix64`: a bijection, so that different numbers stay different.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Rolls for a text. The salt names what is decided, so that two decisions about one source are independent.
pub(super) fn for_text(seed: u64, salt: &str, text: &str) -> u64 {
    let bytes = salt.bytes().chain([0]).chain(text.bytes());
    mix(bytes.fold(mix(seed), |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// Rolls for the n-th of its kind.
pub(super) fn for_number(seed: u64, salt: &str, n: u64) -> u64 {
    mix(for_text(seed, salt, "") ^ mix(n))
}

/// Converts a roll to a number in [0, 1).
pub(super) fn unit(roll: u64) -> f64 {
    let [a, b, c, d, ..] = roll.to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / 4_294_967_296.0
}

/// Picks one of the choices by a roll.
pub(super) fn pick<T>(roll: u64, choices: &[T]) -> &T {
    let n_choices = choices.len() as u64;
    let index = usize::try_from(roll % n_choices).expect("less than a slice's length");
    &choices[index]
}

/// Returns 32 hexadecimal digits for the n-th of its kind; the first 16 already differ for different numbers.
pub(super) fn hex_id(seed: u64, salt: &str, n: u64) -> String {
    let first = mix(n ^ for_text(seed, salt, ""));
    format!("{first:016x}{:016x}", mix(first ^ seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roll_is_even_and_depends_on_seed_salt_and_text() {
        let rolls = (0..10_000).map(|i| unit(for_text(7, "change", &format!("vm-{i}"))));
        let n_low = rolls.filter(|roll| *roll < 0.05).count();
        assert!((400..600).contains(&n_low), "{n_low} of 10,000 below 0.05");
        assert_ne!(for_text(7, "change", "vm-1"), for_text(7, "read", "vm-1"));
        assert_ne!(for_text(7, "change", "vm-1"), for_text(8, "change", "vm-1"));
        assert_eq!(for_text(7, "change", "vm-1"), for_text(7, "change", "vm-1"));
    }
}
