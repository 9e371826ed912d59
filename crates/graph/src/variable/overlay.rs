//! What stands for parameters for a while.

use std::cell::RefCell;

use crate::tensor::Tensor;

thread_local! {
    /// What stands for parameters on this thread, by their keys, the innermost last.
    static OVERLAYS: RefCell<Vec<(u64, Tensor)>> = const { RefCell::new(Vec::new()) };
}

/// What `f` gives while these stand for the parameters of these keys on this thread.
pub(crate) fn overlaid<T>(mut values: Vec<(u64, Tensor)>, f: impl FnOnce() -> T) -> T {
    /// Takes them away again, also when `f` panics.
    struct End(usize);
    impl Drop for End {
        fn drop(&mut self) {
            OVERLAYS.with_borrow_mut(|all| all.truncate(self.0));
        }
    }
    let _end = OVERLAYS.with_borrow_mut(|all| {
        let end = End(all.len());
        all.append(&mut values);
        end
    });
    f()
}

/// What stands for a parameter on this thread.
pub(crate) fn standing_for(key: u64) -> Option<Tensor> {
    OVERLAYS.with_borrow(|all| all.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| value.clone()))
}
