//! The SHA-1 compression function (FIPS 180-4, section 6.1.2), shaped for BPF.
//!
//! The verifier allows 512 bytes of stack, and LLVM spills far more when it sees through an unrolled message
//! schedule. So the schedule is a ring of words behind volatile reads and writes, and the rounds are unrolled by
//! macro with their five words in registers.
//!
//! BPF cannot rotate. So each of the five words stands in a register twice, in its upper and lower half: a shift to the
//! right then leaves the rotated word in the lower half, where the other rounds look for it. Both rotations of a word
//! cost one doubling and two shifts instead of eight instructions.
//!
//! Nor has BPF registers for several words. But from the 33rd word on the schedule's recurrence can be applied twice, and
//! then no word depends on the one before it: two of them are made at once, in the halves of a register.

use crate::units::put;

/// The state before the first block.
pub const IV: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The chaining value.
pub type State = [u32; 5];

/// What [`compress`] works on, and in: the block, as sixteen big-endian words, in the first half.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Schedule(pub [u32; 32]);

/// Advances the chaining value by the block, and leaves it in the first five words of the schedule.
#[inline(always)]
#[expect(clippy::cast_ptr_alignment, reason = "the schedule is aligned for pairs of words")]
#[expect(clippy::many_single_char_names, reason = "the names of the standard")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "of a doubled word, either half is the word"
)]
pub fn compress(before: &State, schedule: &mut Schedule) {
    let w = schedule.0.as_mut_ptr();
    let pairs = w.cast::<u64>();
    let mask = rotated_out();
    let mut pair;
    let [mut a, mut b, mut c, mut d, mut e] = before.map(double);

    macro_rules! word {
        // The first sixteen words are the block's own.
        (load $i:expr) => {
            // SAFETY: `$i` is a literal below 16, the length of the block.
            unsafe { w.add($i).read_volatile() }
        };
        // W[t] = ROTL1(W[t-3] ^ W[t-8] ^ W[t-14] ^ W[t-16])
        (expand $i:expr) => {{
            // SAFETY: `$i` is a literal from 16 to 31.
            unsafe {
                let x = w.add($i - 16).read_volatile()
                    ^ w.add($i - 14).read_volatile()
                    ^ w.add($i - 8).read_volatile()
                    ^ w.add($i - 3).read_volatile();
                let x = x.rotate_left(1);
                w.add($i).write_volatile(x);
                x
            }
        }};
        // W[t] = ROTL2(W[t-6] ^ W[t-16] ^ W[t-28] ^ W[t-32]), for t and t + 1.
        (first $i:expr) => {{
            // SAFETY: `$i` is a literal and even; every index is below 16, and the schedule is aligned for pairs.
            unsafe {
                let x = pairs.add(($i & 31) / 2).read_volatile()
                    ^ pairs.add((($i - 28) & 31) / 2).read_volatile()
                    ^ pairs.add((($i - 16) & 31) / 2).read_volatile()
                    ^ pairs.add((($i - 6) & 31) / 2).read_volatile();
                // Of the two bits that leave each half at its upper end, the lower end gets what `x >> 30` has there.
                let left = x << 2;
                pair = left ^ ((left ^ (x >> 30)) & mask);
                pairs.add(($i & 31) / 2).write_volatile(pair);
                halves(pair).0
            }
        }};
        (second $i:expr) => {
            halves(pair).1
        };
    }
    macro_rules! round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident, $f:ident, $k:literal, $how:ident $i:expr) => {
            let rest = ($e as u32)
                .wrapping_add($f($b as u32, $c as u32, $d as u32))
                .wrapping_add($k)
                .wrapping_add(word!($how $i));
            // `a >> 27` is to the left by 5.
            $e = double(add_last(rest, ($a >> 27) as u32));
            // To the left by 30. What is left in the upper half is of no use any more, nor is it used.
            $b >>= 2;
        };
    }
    macro_rules! five {
        ($f:ident, $k:literal, $i:expr, $h0:ident $h1:ident $h2:ident $h3:ident $h4:ident) => {
            round!(a b c d e, $f, $k, $h0 ($i));
            round!(e a b c d, $f, $k, $h1 ($i + 1));
            round!(d e a b c, $f, $k, $h2 ($i + 2));
            round!(c d e a b, $f, $k, $h3 ($i + 3));
            round!(b c d e a, $f, $k, $h4 ($i + 4));
        };
    }
    macro_rules! ten {
        ($f:ident, $k:literal, $i:expr) => {
            five!($f, $k, $i, first second first second first);
            five!($f, $k, $i + 5, second first second first second);
        };
    }

    five!(choose, 0x5a82_7999, 0, load load load load load);
    five!(choose, 0x5a82_7999, 5, load load load load load);
    five!(choose, 0x5a82_7999, 10, load load load load load);
    five!(choose, 0x5a82_7999, 15, load expand expand expand expand);
    five!(parity, 0x6ed9_eba1, 20, expand expand expand expand expand);
    five!(parity, 0x6ed9_eba1, 25, expand expand expand expand expand);
    five!(parity, 0x6ed9_eba1, 30, expand expand first second first);
    five!(parity, 0x6ed9_eba1, 35, second first second first second);
    ten!(majority, 0x8f1b_bcdc, 40);
    ten!(majority, 0x8f1b_bcdc, 50);
    ten!(parity, 0xca62_c1d6, 60);
    ten!(parity, 0xca62_c1d6, 70);

    for (index, word) in [a, b, c, d, e].into_iter().enumerate() {
        put(&mut schedule.0[index], before[index].wrapping_add(word as u32));
    }
}

/// The words of a pair, in the order of memory.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn halves(pair: u64) -> (u32, u32) {
    let (low, high) = (pair as u32, (pair >> 32) as u32);
    if cfg!(target_endian = "big") {
        (high, low)
    } else {
        (low, high)
    }
}

/// A word, twice.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
fn double(word: u32) -> u64 {
    (u64::from(word) << 32) | u64::from(word)
}

/// A word, twice, out of LLVM's sight. It would make a multiplication of it, which takes longer and wants its factor
/// in a register; and it would move the sums of one round into the next, which wants more registers than there are.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn double(word: u32) -> u64 {
    let twice;
    // SAFETY: arithmetic in registers.
    unsafe {
        core::arch::asm!(
            "{twice} = {word}",
            "{twice} <<= 32",
            "{twice} |= {word}",
            word = in(reg) u64::from(word),
            twice = out(reg) twice,
            options(nomem, nostack, preserves_flags)
        );
    }
    twice
}

/// The two low bits of each half.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
fn rotated_out() -> u64 {
    0x3_0000_0003
}

/// The two low bits of each half, in a register: LLVM would load the constant anew for each pair.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn rotated_out() -> u64 {
    let mask;
    // SAFETY: a constant.
    unsafe {
        core::arch::asm!(
            "{mask} = 0x300000003 ll",
            mask = out(reg) mask,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    mask
}

/// `rest + newest`. All of `rest` is known a round before `newest` is, which the next round waits for.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
fn add_last(rest: u32, newest: u32) -> u32 {
    rest.wrapping_add(newest)
}

/// As the other, out of LLVM's sight, which would add in an order of its own.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn add_last(rest: u32, newest: u32) -> u32 {
    let sum;
    // SAFETY: arithmetic in registers.
    unsafe {
        core::arch::asm!(
            "{sum} += {newest}",
            newest = in(wreg) newest,
            sum = inout(wreg) rest => sum,
            options(nomem, nostack, preserves_flags)
        );
    }
    sum
}

#[inline(always)]
fn choose(b: u32, c: u32, d: u32) -> u32 {
    d ^ (b & (c ^ d))
}

#[inline(always)]
fn parity(b: u32, c: u32, d: u32) -> u32 {
    b ^ c ^ d
}

#[inline(always)]
fn majority(b: u32, c: u32, d: u32) -> u32 {
    (b & c) | (d & (b | c))
}

#[cfg(test)]
mod tests;
