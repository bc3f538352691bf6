//! The allocator of a guest, which lives for one call.
//!
//! The standard one asks the host for more memory at its first allocation, whatever
//! is left of the memory that the module came with, and each growth makes the host
//! change the protection of pages and tell all processors of it: as dear as all the
//! rest of a short call. So the module brings [`Arena`], from which most calls can
//! take all that they need, one piece after the other. Only the last piece can be
//! given back, or grow where it is; that suits a life of microseconds. What does not
//! fit comes from the standard allocator, which gives back everything: a call that
//! works on much data is no worse off than without.

#![expect(unsafe_code, reason = "an allocator hands out raw memory; it is the one of guests")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::{Cell, UnsafeCell},
    ptr,
};

/// What guests take their memory from first.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static MEMORY: Memory<{ 64 << 10 }> = Memory::new();

// What the arena is aligned to, and with it the most that a piece of it can be.
const ALIGN_MAX: usize = 16;

/// An arena of `SIZE` bytes before the standard allocator. For one thread.
///
/// In this order: what is written in a call lies together, on few pages.
#[repr(C)]
struct Memory<const SIZE: usize> {
    used: Cell<usize>,
    arena: Arena<SIZE>,
}

#[repr(align(16))]
struct Arena<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

// SAFETY: a guest has one thread: modules with shared memory are refused by the host,
// and are not what this compiles to.
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
unsafe impl<const SIZE: usize> Sync for Memory<SIZE> {}

impl<const SIZE: usize> Memory<SIZE> {
    const fn new() -> Memory<SIZE> {
        Memory { used: Cell::new(0), arena: Arena(UnsafeCell::new([0; SIZE])) }
    }

    fn start(&self) -> *mut u8 {
        self.arena.0.get().cast()
    }

    /// Where in the arena a piece begins; `None` for one of the standard allocator.
    fn offset(&self, piece: *mut u8) -> Option<usize> {
        let offset = piece.addr().wrapping_sub(self.start().addr());
        (offset < SIZE).then_some(offset)
    }

    /// Takes a piece from the arena; null where it does not fit.
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN_MAX {
            return ptr::null_mut();
        }
        let offset = self.used.get().next_multiple_of(layout.align());
        if layout.size() > SIZE.saturating_sub(offset) {
            return ptr::null_mut();
        }
        self.used.set(offset + layout.size());
        self.start().wrapping_add(offset)
    }
}

// SAFETY: pieces of the arena are aligned, since it is and the offsets are; they lie
// within it and never overlap, since `used` is past all that are in use: it goes back
// only over the last one. Each piece goes back to the allocator that it came from,
// told apart by its address.
unsafe impl<const SIZE: usize> GlobalAlloc for Memory<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            piece if !piece.is_null() => piece,
            // SAFETY: what the caller promises of `layout` is what is asked of it.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let piece = self.take(layout);
        if piece.is_null() {
            // SAFETY: what the caller promises of `layout` is what is asked of it.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // It may have been in use before. SAFETY: it has the size of `layout`.
        unsafe { piece.write_bytes(0, layout.size()) };
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match self.offset(piece) {
            Some(offset) if offset + layout.size() == self.used.get() => self.used.set(offset),
            Some(_) => {}
            // SAFETY: what is not of the arena came from there, with this layout.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(piece) else {
            // SAFETY: what is not of the arena came from there, with this layout.
            return unsafe { System.realloc(piece, layout, size) };
        };
        if offset + layout.size() == self.used.get() && size <= SIZE - offset {
            self.used.set(offset + size);
            return piece;
        }
        if size <= layout.size() {
            return piece;
        }
        // SAFETY: the caller promises that `size` makes a layout, and that the piece
        // has the size of the old one; the new one is larger and lies elsewhere.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(piece, new, layout.size());
                self.dealloc(piece, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece that its owner has filled with a byte of its own.
    struct Piece {
        at: *mut u8,
        layout: Layout,
        filled: u8,
    }

    impl Piece {
        fn of(memory: &Memory<1024>, size: usize, align: usize, filled: u8) -> Piece {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not zero, and the piece is that long.
            let at = unsafe {
                let at = memory.alloc(layout);
                at.write_bytes(filled, size);
                at
            };
            assert_eq!(at.addr() % align, 0);
            Piece { at, layout, filled }
        }

        fn check(&self, len: usize) {
            // SAFETY: it is in use, and `len` is at most its size.
            let bytes = unsafe { std::slice::from_raw_parts(self.at, len) };
            assert!(bytes.iter().all(|it| *it == self.filled), "{bytes:?} is not its own");
        }

        fn resize(&mut self, memory: &Memory<1024>, size: usize) {
            let kept = size.min(self.layout.size());
            // SAFETY: it is in use and has this layout; the new size is not zero.
            self.at = unsafe { memory.realloc(self.at, self.layout, size) };
            self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
            self.check(kept);
            // SAFETY: it is that long now.
            unsafe { self.at.write_bytes(self.filled, size) };
        }

        fn free(self, memory: &Memory<1024>) {
            self.check(self.layout.size());
            // SAFETY: it is in use and has this layout.
            unsafe { memory.dealloc(self.at, self.layout) };
        }
    }

    /// Numbers that look like chance, the same in each run (splitmix64).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let it = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((it ^ (it >> 31)) % end as u64) as usize
        }
    }

    #[test]
    fn no_piece_is_ever_anothers() {
        for seed in 0..200 {
            let (memory, mut numbers) = (Memory::<1024>::new(), Numbers(seed));
            let mut pieces: Vec<Piece> = Vec::new();
            for step in 0..500 {
                match numbers.below(4) {
                    0 if !pieces.is_empty() => {
                        pieces.swap_remove(numbers.below(pieces.len())).free(&memory);
                    }
                    1 if !pieces.is_empty() => {
                        let which = numbers.below(pieces.len());
                        pieces[which].resize(&memory, 1 + numbers.below(200));
                    }
                    // Mostly the last one, as a stack would.
                    2 if !pieces.is_empty() => pieces.pop().unwrap().free(&memory),
                    _ => {
                        let (size, align) = (1 + numbers.below(200), 1 << numbers.below(7));
                        pieces.push(Piece::of(&memory, size, align, step as u8));
                    }
                }
                pieces.iter().for_each(|it| it.check(it.layout.size()));
            }
            pieces.into_iter().for_each(|it| it.free(&memory));
        }
    }

    #[test]
    fn the_last_piece_grows_where_it_is_and_is_given_back() {
        let memory = Memory::<1024>::new();
        let first = Piece::of(&memory, 10, 1, 1);
        let mut last = Piece::of(&memory, 10, 8, 2);
        let before = last.at;
        last.resize(&memory, 1008);
        assert_eq!((last.at, memory.used.get()), (before, 1024));
        last.free(&memory);
        assert_eq!(memory.used.get(), 16);
        first.free(&memory);
    }

    #[test]
    fn what_does_not_fit_comes_from_the_standard_allocator() {
        let memory = Memory::<1024>::new();
        let all = Piece::of(&memory, 1024, 16, 1);
        assert_eq!(memory.offset(all.at), Some(0));
        let more = Piece::of(&memory, 1, 1, 2);
        assert_eq!(memory.offset(more.at), None);
        all.free(&memory);
        let mut piece = Piece::of(&memory, 1000, 1, 3);
        piece.resize(&memory, 1025);
        assert_eq!(memory.offset(piece.at), None);
        let wide = Piece::of(&memory, 1, 4096, 4);
        assert_eq!(memory.offset(wide.at), None);
        [more, piece, wide].into_iter().for_each(|it| it.free(&memory));
    }

    #[test]
    fn zeroed_memory_is_zeroed_though_it_was_in_use() {
        let memory = Memory::<1024>::new();
        for size in [1024, 2048] {
            Piece::of(&memory, size, 1, 7).free(&memory);
            let layout = Layout::from_size_align(size, 1).unwrap();
            // SAFETY: the size is not zero.
            let at = unsafe { memory.alloc_zeroed(layout) };
            let piece = Piece { at, layout, filled: 0 };
            piece.free(&memory);
        }
    }
}
