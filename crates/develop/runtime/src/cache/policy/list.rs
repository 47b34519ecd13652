//! Doubly linked lists threaded through one slab: a node is in one list at most, and moving it costs a few writes.

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// The links of all nodes.
#[derive(Default)]
pub(super) struct Links {
    nodes: Vec<(u32, u32)>,
}

/// One list: nodes from the front (came last) to the back.
#[derive(Clone, Copy)]
pub(super) struct List {
    front: u32,
    back: u32,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        List { front: NONE, back: NONE, len: 0 }
    }
}

impl List {
    pub(super) fn back(self) -> Option<u32> {
        (self.back != NONE).then_some(self.back)
    }

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }

    pub(super) fn push_front(&mut self, links: &mut Links, node: u32) {
        if links.nodes.len() <= node as usize {
            links.nodes.resize(node as usize + 1, (NONE, NONE));
        }
        links.nodes[node as usize] = (NONE, self.front);
        match self.front {
            NONE => self.back = node,
            front => links.nodes[front as usize].0 = node,
        }
        self.front = node;
        self.len += 1;
    }

    /// Takes `node`, which is in this list, out of it.
    pub(super) fn remove(&mut self, links: &mut Links, node: u32) {
        let (towards_front, towards_back) = links.nodes[node as usize];
        match towards_front {
            NONE => self.front = towards_back,
            other => links.nodes[other as usize].1 = towards_back,
        }
        match towards_back {
            NONE => self.back = towards_front,
            other => links.nodes[other as usize].0 = towards_front,
        }
        self.len -= 1;
    }

    pub(super) fn pop_back(&mut self, links: &mut Links) -> Option<u32> {
        let node = self.back()?;
        self.remove(links, node);
        Some(node)
    }

    pub(super) fn move_to_front(&mut self, links: &mut Links, node: u32) {
        if self.front != node {
            self.remove(links, node);
            self.push_front(links, node);
        }
    }

    /// From the back to the front.
    pub(super) fn back_to_front(self, links: &Links) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.back(), |node| {
            let next = links.nodes[*node as usize].0;
            (next != NONE).then_some(next)
        })
    }
}
