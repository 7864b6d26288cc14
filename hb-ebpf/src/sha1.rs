//! The SHA-1 compression function (FIPS 180-4, section 6.1.2), shaped for BPF.
//!
//! The verifier allows 512 bytes of stack, and LLVM spills far more when it sees through an unrolled message
//! schedule. So the schedule is sixteen rolling words behind volatile reads and writes, and the rounds are unrolled by
//! macro with their five words in registers.
//!
//! BPF cannot rotate. So each of the five words stands in a register twice, in its upper and lower half: a shift to the
//! right then leaves the rotated word in the lower half, where the other rounds look for it. Both rotations of a word
//! cost one doubling and two shifts instead of eight instructions.

/// The state before the first block.
pub const IV: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The chaining value.
pub type State = [u32; 5];

/// What [`compress`] works on: one pointer, because a BPF function takes few arguments.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Work {
    /// The chaining value, before and after.
    pub state: State,
    /// The block, as sixteen big-endian words. Destroyed.
    pub block: [u32; 16],
}

/// Advances `work.state` by `work.block`.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "the names of the standard")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "of a doubled word, either half is the word"
)]
pub fn compress(work: &mut Work) {
    let w = work.block.as_mut_ptr();
    let [mut a, mut b, mut c, mut d, mut e] = work.state.map(double);

    macro_rules! word {
        // The first sixteen words are the block's own.
        (load $i:expr) => {
            // SAFETY: `$i` is a literal below 16, the length of the block.
            unsafe { w.add($i).read_volatile() }
        };
        // W[t] = ROTL1(W[t-3] ^ W[t-8] ^ W[t-14] ^ W[t-16]), rolling over sixteen words.
        (expand $i:expr) => {{
            // SAFETY: every index is taken modulo 16, the length of the block.
            unsafe {
                let x = w.add(($i + 13) & 15).read_volatile()
                    ^ w.add(($i + 8) & 15).read_volatile()
                    ^ w.add(($i + 2) & 15).read_volatile()
                    ^ w.add($i & 15).read_volatile();
                let x = x.rotate_left(1);
                w.add($i & 15).write_volatile(x);
                x
            }
        }};
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
        ($f:ident, $k:literal, $how:ident $i:expr) => {
            round!(a b c d e, $f, $k, $how ($i));
            round!(e a b c d, $f, $k, $how ($i + 1));
            round!(d e a b c, $f, $k, $how ($i + 2));
            round!(c d e a b, $f, $k, $how ($i + 3));
            round!(b c d e a, $f, $k, $how ($i + 4));
        };
    }
    macro_rules! twenty {
        ($f:ident, $k:literal, $i:expr) => {
            five!($f, $k, expand($i));
            five!($f, $k, expand($i + 5));
            five!($f, $k, expand($i + 10));
            five!($f, $k, expand($i + 15));
        };
    }

    five!(choose, 0x5a82_7999, load 0);
    five!(choose, 0x5a82_7999, load 5);
    five!(choose, 0x5a82_7999, load 10);
    round!(a b c d e, choose, 0x5a82_7999, load 15);
    round!(e a b c d, choose, 0x5a82_7999, expand 16);
    round!(d e a b c, choose, 0x5a82_7999, expand 17);
    round!(c d e a b, choose, 0x5a82_7999, expand 18);
    round!(b c d e a, choose, 0x5a82_7999, expand 19);
    twenty!(parity, 0x6ed9_eba1, 20);
    twenty!(majority, 0x8f1b_bcdc, 40);
    twenty!(parity, 0xca62_c1d6, 60);

    work.state[0] = work.state[0].wrapping_add(a as u32);
    work.state[1] = work.state[1].wrapping_add(b as u32);
    work.state[2] = work.state[2].wrapping_add(c as u32);
    work.state[3] = work.state[3].wrapping_add(d as u32);
    work.state[4] = work.state[4].wrapping_add(e as u32);
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
