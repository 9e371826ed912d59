//! Scratch tiles, which threads keep from one task to the next.

use std::cell::RefCell;

use crate::gemm::Memory;

thread_local! {
    /// Scratch tiles that this thread's last task left behind.
    static TILES: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// A scratch tile of at least `len` f32.
pub fn scratch(len: usize) -> Option<Memory> {
    let bytes = len * size_of::<f32>();
    let spare = TILES.with(|t| {
        let mut tiles = t.borrow_mut();
        tiles.iter().position(|m| m.bytes() >= bytes).map(|i| tiles.swap_remove(i))
    });
    spare.or_else(|| Memory::zeroed(bytes))
}

/// Keeps a tile for the next task of this thread.
pub fn give_back(memory: Memory) {
    TILES.with(|t| {
        let mut tiles = t.borrow_mut();
        tiles.push(memory);
        if tiles.len() > 4 {
            tiles.sort_by_key(|m| std::cmp::Reverse(m.bytes()));
            tiles.truncate(4);
        }
    });
}
