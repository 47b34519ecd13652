//! Paths: which operation began within which, each with a number.

use hashbrown::HashMap;

use crate::sync::Mutex;

/// A path's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PathId(u32);

impl PathId {
    /// Where no operation has begun.
    pub(super) const ROOT: PathId = PathId(0);
    /// What the limits leave no path of its own.
    pub(super) const OTHER: PathId = PathId(1);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The path of operations that the limits on paths and depth leave none of their own.
pub const OTHER: &str = "…other";

/// All paths of a profiler. Threads ask once a path and remember the number.
pub(super) struct Paths {
    most: usize,
    deepest: usize,
    known: Mutex<Known>,
}

struct Known {
    paths: Vec<Path>,
    by_name: HashMap<(PathId, &'static str), PathId>,
}

#[derive(Clone, Copy)]
struct Path {
    within: PathId,
    name: &'static str,
    depth: usize,
}

impl Paths {
    /// Holds at most `most` paths of at most `deepest` operations.
    pub(super) fn new(most: usize, deepest: usize) -> Paths {
        let root = Path { within: PathId::ROOT, name: "", depth: 0 };
        let other = Path { within: PathId::ROOT, name: OTHER, depth: 1 };
        let known = Known { paths: vec![root, other], by_name: HashMap::new() };
        Paths { most, deepest, known: Mutex::new(known) }
    }

    /// The path of `name` within the path `within`; [`PathId::OTHER`] where that would be one too many or too deep.
    pub(super) fn find(&self, within: PathId, name: &'static str) -> PathId {
        if within == PathId::OTHER {
            return PathId::OTHER;
        }
        let mut known = self.known.lock();
        if let Some(&path) = known.by_name.get(&(within, name)) {
            return path;
        }
        let depth = known.paths[within.index()].depth + 1;
        // The first two are the root and the rest.
        if depth > self.deepest || known.paths.len() - 2 >= self.most {
            return PathId::OTHER;
        }
        let path = PathId(known.paths.len() as u32);
        known.paths.push(Path { within, name, depth });
        known.by_name.insert((within, name), path);
        path
    }

    /// Whether `path` is `around` or within it.
    #[cfg(feature = "tracing")]
    pub(super) fn is_within(&self, path: PathId, around: PathId) -> bool {
        if path == around {
            return true;
        }
        let known = self.known.lock();
        let mut at = path;
        while at != around && at != PathId::ROOT {
            at = known.paths[at.index()].within;
        }
        at == around
    }

    /// The names from the outermost operation to that of `path`.
    pub(super) fn names(&self, path: PathId) -> Vec<&'static str> {
        let known = self.known.lock();
        let mut names = Vec::new();
        let mut at = path;
        while at != PathId::ROOT {
            let path = known.paths[at.index()];
            names.push(path.name);
            at = path.within;
        }
        names.reverse();
        names
    }
}
