//! Values with names, so that one can look inside a network.
//!
//! A model names what is worth seeing by its scopes, as it names parameters. A name costs nothing. Watching one makes its
//! value an output, and `fuse` keeps outputs: so watch first, fuse then. All else is fused as if nobody watched, so that no
//! other result changes by a bit. What only a watcher needs is offered
//! [on request](Graph::on_request), and joins the graph when it is watched.

use super::{Graph, Id, Node, NodeKind};
use crate::tensor::Shape;

/// What has a name.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// A node of the graph.
    Node(Id),
    /// Nodes that are not in the graph; the last is the value. Their own ids are counted from `start` on.
    OnRequest { start: usize, nodes: Vec<Node> },
}

/// Why a value cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// No value has this name.
    #[error("there is no value called {name:?} to watch, but {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
}

impl Graph {
    /// Names a value by the open scopes and `name`.
    pub fn name(&mut self, name: &str, value: Id) {
        self.add_name(self.path(Some(name)), Named::Node(value));
    }

    /// [`Graph::scoped`] of a part of a network with one result, which is named by the scope.
    pub fn module(&mut self, name: impl Into<String>, f: impl FnOnce(&mut Self) -> Id) -> Id {
        self.scoped(name, |g| {
            let value = f(g);
            g.add_name(g.path(None), Named::Node(value));
            value
        })
    }

    /// Names a value that is computed only if it is watched. `f` appends the nodes it takes, which leave the graph again.
    pub fn on_request(&mut self, name: &str, f: impl FnOnce(&mut Self) -> Id) {
        let start = self.nodes.len();
        let value = f(self);
        assert!(value.index() >= start && value.index() + 1 == self.nodes.len(), "the value is the last of its nodes");
        let nodes = self.nodes.split_off(start);
        assert!(nodes.iter().all(|node| node.leaf_name().is_none()), "leaves are there whether watched or not");
        self.add_name(self.path(Some(name)), Named::OnRequest { start, nodes });
    }

    fn add_name(&mut self, name: String, named: Named) {
        assert!(self.names.iter().all(|(n, _)| *n != name), "the graph has two values called {name}");
        self.names.push((name, named));
    }

    /// The names that can be watched, in the order in which they are computed, and the shapes of their values. A graph that
    /// is fused has none left.
    pub fn watchable(&self) -> Vec<(String, Shape)> {
        let shape = |named: &Named| match named {
            Named::Node(id) => self.shape(*id),
            Named::OnRequest { nodes, .. } => nodes[nodes.len() - 1].shape,
        };
        self.names.iter().map(|(name, named)| (name.clone(), shape(named))).collect()
    }

    /// Makes outputs of these values, under their names. What is an output already stays one.
    ///
    /// # Errors
    /// A name that there is not; the graph is then as it was.
    pub fn watch(&mut self, names: &[impl AsRef<str>]) -> Result<(), WatchError> {
        let is_output = |name: &str| self.outputs.iter().any(|(output, _)| output == name);
        let mut wanted = vec![false; self.names.len()];
        for name in names.iter().map(AsRef::as_ref).filter(|name| !is_output(name)) {
            let position = self.names.iter().position(|(known, _)| known == name);
            let known = || self.names.iter().map(|(known, _)| known.clone()).collect();
            let position = position.ok_or_else(|| WatchError::Unknown { name: name.to_owned(), known: known() })?;
            wanted[position] = true;
        }
        // In the order of the list, and each once.
        for position in (0..wanted.len()).filter(|&position| wanted[position]) {
            let (name, named) = self.names[position].clone();
            let value = match named {
                Named::Node(id) => id,
                Named::OnRequest { start, nodes } => self.fetch(start, nodes),
            };
            self.names[position].1 = Named::Node(value);
            self.output(&name, value);
            self.watched.push(name);
        }
        Ok(())
    }

    /// The graph with the outputs it had before anything was watched.
    pub(crate) fn unwatched(&self) -> Self {
        let mut graph = self.clone();
        graph.outputs.retain(|(name, _)| !self.watched.contains(name));
        graph
    }

    /// Appends nodes whose own ids were counted from `start` on; the id of the last.
    fn fetch(&mut self, start: usize, nodes: Vec<Node>) -> Id {
        let moved = (self.nodes.len() - start) as u32;
        for mut node in nodes {
            if let NodeKind::Op { inputs, .. } = &mut node.kind {
                inputs.iter_mut().filter(|id| id.index() >= start).for_each(|id| id.0 += moved);
            }
            self.push(node);
        }
        Id(self.nodes.len() as u32 - 1)
    }
}
