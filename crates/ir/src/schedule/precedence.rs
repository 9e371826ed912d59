//! What must run before what, while kernels are joined.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use super::{buffers::Overwrites, graph::NodeId};
use crate::map::Set;

/// The order between nodes, and between the kernels they are in.
pub struct Precedence {
    /// What must have run before each node: what it reads, and the readers of what it overwrites.
    after: Vec<BTreeSet<NodeId>>,
    /// The other way round, ascending.
    waiting: Vec<Vec<NodeId>>,
    /// Each node's kernel, named by its lowest member.
    kernel_of: Vec<Option<usize>>,
    /// The members of each kernel, ascending; without a kernel the node alone.
    members: Vec<Vec<NodeId>>,
    /// By a kernel's name, or a node without one: neither it nor what must have run before it has a node above this one.
    top: Vec<NodeId>,
}

impl Precedence {
    /// Of nodes without kernels, from what each reads. A node that overwrites a leaf comes after every other that has a
    /// kernel and reads the leaf.
    pub fn new(reads: &[BTreeSet<NodeId>], overwrites: &Overwrites, has_kernel: impl Fn(NodeId) -> bool) -> Precedence {
        let readers = inverse(reads);
        let mut after = reads.to_vec();
        for (writer, leaves) in overwrites {
            let readers = leaves.iter().flat_map(|leaf| &readers[*leaf]);
            after[*writer].extend(readers.copied().filter(|id| id != writer && has_kernel(*id)));
        }
        let n = reads.len();
        let waiting = inverse(&after);
        let members = (0..n).map(|id| vec![id]).collect();
        let mut this = Precedence { after, waiting, kernel_of: vec![None; n], members, top: (0..n).collect() };
        // Ids ascend along reads, but not from what overwrites to what must come before.
        for (writer, _) in overwrites {
            if let Some(top) = this.after[*writer].iter().map(|id| this.top[*id]).max() {
                this.raise(*writer, top);
            }
        }
        this
    }

    /// Gives a node a kernel of its own.
    pub fn add(&mut self, id: NodeId) {
        self.kernel_of[id] = Some(id);
    }

    /// The name of a node's kernel, if it has one.
    pub fn kernel_of(&self, id: NodeId) -> Option<usize> {
        self.kernel_of[id]
    }

    /// The members of a kernel, ascending.
    pub fn members(&self, kernel: usize) -> &[NodeId] {
        &self.members[kernel]
    }

    /// What must have run before a node.
    pub fn after(&self, id: NodeId) -> &BTreeSet<NodeId> {
        &self.after[id]
    }

    /// The nodes that a node must have run before, ascending.
    pub fn waiting(&self, id: NodeId) -> &[NodeId] {
        &self.waiting[id]
    }

    /// Makes one kernel of two.
    pub fn join(&mut self, a: usize, b: usize) {
        let (kept, gone) = (a.min(b), a.max(b));
        let top = self.top[a].max(self.top[b]);
        let waiting = |kernel: usize| self.members[kernel].iter().flat_map(|m| &self.waiting[*m]).copied();
        let late: Vec<NodeId> = [a, b].into_iter().filter(|k| self.top[*k] < top).flat_map(waiting).collect();
        let moved = std::mem::take(&mut self.members[gone]);
        moved.iter().for_each(|m| self.kernel_of[*m] = Some(kept));
        self.members[kept].extend(moved);
        self.members[kept].sort_unstable();
        self.top[kept] = top;
        late.into_iter().for_each(|id| self.raise(id, top));
    }

    /// Whether some node outside of these members reads from one of them and is read, through others, by another.
    pub fn stands_between(&self, members: &[NodeId]) -> bool {
        let inside: Set<NodeId> = members.iter().copied().collect();
        let Some(lowest) = members.first() else { return false };
        let mut seen: Set<usize> = Set::default();
        // From what the members need and is not a member, backwards through whole kernels, as far as a member can be.
        let reaches = |id: &NodeId| self.top[self.name(*id)] >= *lowest;
        let needs = members.iter().flat_map(|m| self.after[*m].iter().copied());
        let mut stack: Vec<NodeId> = needs.filter(|m| !inside.contains(m) && reaches(m)).collect();
        while let Some(id) = stack.pop() {
            let name = self.name(id);
            if !seen.insert(name) {
                continue;
            }
            for before in self.members[name].iter().flat_map(|m| &self.after[*m]) {
                if inside.contains(before) {
                    return true;
                }
                if reaches(before) {
                    stack.push(*before);
                }
            }
        }
        false
    }

    /// The kernels in an order in which each has what it needs; of those that are ready, the one with the lowest last
    /// member comes first. `None` if they need each other.
    pub fn order(&self) -> Option<Vec<usize>> {
        let kernels: BTreeSet<usize> = self.kernel_of.iter().flatten().copied().collect();
        let mut needs: BTreeMap<usize, usize> = BTreeMap::new();
        let mut needed_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for kernel in &kernels {
            let before = self.kernels_before(*kernel);
            needs.insert(*kernel, before.len());
            before.into_iter().for_each(|b| needed_by.entry(b).or_default().push(*kernel));
        }
        let entry = |kernel: usize| Reverse((self.members[kernel].last().copied(), kernel));
        let mut ready: BinaryHeap<_> = needs.iter().filter(|(_, n)| **n == 0).map(|(k, _)| entry(*k)).collect();
        let mut order = Vec::with_capacity(kernels.len());
        while let Some(Reverse((_, kernel))) = ready.pop() {
            order.push(kernel);
            for next in needed_by.get(&kernel).into_iter().flatten() {
                if let Some(left) = needs.get_mut(next) {
                    *left -= 1;
                    if *left == 0 {
                        ready.push(entry(*next));
                    }
                }
            }
        }
        (order.len() == kernels.len()).then_some(order)
    }

    /// The kernels that one needs at once. A packed vector has no kernel: it is ready when its parts are.
    fn kernels_before(&self, kernel: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut stack: Vec<NodeId> = self.members[kernel].iter().flat_map(|m| self.after[*m].iter().copied()).collect();
        while let Some(id) = stack.pop() {
            match self.kernel_of[id] {
                None => stack.extend(self.after[id].iter().copied()),
                Some(other) if other != kernel => drop(found.insert(other)),
                Some(_) => {}
            }
        }
        found
    }

    /// What a node goes by: its kernel's name, or its own.
    fn name(&self, id: NodeId) -> usize {
        self.kernel_of[id].unwrap_or(id)
    }

    /// Notes that a node as high as `top` must have run before this one, and so before all that wait for it.
    fn raise(&mut self, id: NodeId, top: NodeId) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let name = self.name(id);
            if self.top[name] < top {
                self.top[name] = top;
                stack.extend(self.members[name].iter().flat_map(|m| &self.waiting[*m]).copied());
            }
        }
    }
}

/// For each node the nodes that name it, ascending.
fn inverse(of: &[BTreeSet<NodeId>]) -> Vec<Vec<NodeId>> {
    let mut inverse = vec![Vec::new(); of.len()];
    for (id, named) in of.iter().enumerate() {
        named.iter().for_each(|n| inverse[*n].push(id));
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes that read lower ones; those that read nothing are leaves.
    fn of(reads: &[&[NodeId]], overwrites: &Overwrites) -> Precedence {
        let sets: Vec<BTreeSet<NodeId>> = reads.iter().map(|r| r.iter().copied().collect()).collect();
        let mut this = Precedence::new(&sets, overwrites, |id| !reads[id].is_empty());
        (0..reads.len()).filter(|id| !reads[*id].is_empty()).for_each(|id| this.add(id));
        this
    }

    #[test]
    fn a_third_kernel_stands_between_two() {
        // 1 → 2 → 3, and 1 → 3.
        let mut chain = of(&[&[], &[0], &[1], &[1, 2]], &vec![]);
        assert!(chain.stands_between(&[1, 3]));
        assert!(!chain.stands_between(&[1, 2]));
        chain.join(1, 2);
        assert!(!chain.stands_between(&[1, 2, 3]));
        assert_eq!(chain.order(), Some(vec![1, 3]));
    }

    /// Two kernels that are joined put what one of them needs before all that wait for the other.
    #[test]
    fn joining_carries_over_what_is_needed() {
        // 1 and 4 join; 2 waits for 1, and 3 stands before 4. So 3 comes before 2 from then on.
        let mut two = of(&[&[], &[0], &[1], &[0], &[3], &[2]], &vec![]);
        two.join(1, 4);
        assert!(two.stands_between(&[2, 3]));
        assert!(!two.stands_between(&[2, 5]));
        assert_eq!(two.order(), Some(vec![3, 1, 2, 5]));
    }

    #[test]
    fn what_overwrites_a_leaf_comes_after_its_readers() {
        // 1 writes over leaf 0, which 2 and, through 2, 3 read.
        let late = of(&[&[], &[0], &[0], &[2]], &vec![(1, vec![0])]);
        assert_eq!(late.order(), Some(vec![2, 1, 3]));
        assert!(!late.stands_between(&[1, 3]));
        // 1 waits for 3, which waits for 2, which waits for 1.
        let never = of(&[&[], &[0], &[1], &[0, 2]], &vec![(1, vec![0])]);
        assert!(never.stands_between(&[1, 3]));
        assert_eq!(never.order(), None);
    }
}
