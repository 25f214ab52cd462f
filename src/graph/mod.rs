//! A computation as plain data: nodes, shapes, names. No device, no buffer, no closure.
//!
//! Leaves are inputs (written before every run), parameters (named as in the checkpoint) and state (what an optimizer
//! keeps). A graph ends in named outputs and in assignments `state ← node`, which all take effect after the run. What
//! never changes after compilation is a field of an op; what changes from run to run is an input.

mod autodiff;
mod op;
mod operations;
mod watch;

/// The arithmetic that a reference is generic over, see [`reference!`](crate::reference).
pub use num_traits::Float;
pub use op::{Add, Dispatch, ElementwiseParams, Fast, Op, Packing, View, WORKGROUP, index};
pub use operations::Operation;
pub use watch::WatchError;

use crate::tensor::Shape;
use std::sync::Arc;

/// A node of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u32);

impl Id {
    /// Position in [`Graph::nodes`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a parameter is, which decides how a file stores it and how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Convolution weight: `[kh, kw, ci, co]` here, OIHW in files.
    Conv,
    /// Linear weight: `[1, 1, in, out]` here, `[out, in]` in files.
    Linear,
    /// Bias of a layer with this many inputs per output: `[1, 1, 1, C]`.
    Bias {
        /// Inputs summed into one output, which sets the range of the start values.
        fan_in: usize,
    },
    /// Scale of a normalisation, starts at one: `[1, 1, 1, C]`.
    Scale,
    /// Shift of a normalisation, starts at zero: `[1, 1, 1, C]`.
    Shift,
    /// Embedding table: `[1, 1, rows, C]`, `[rows, C]` in files.
    Embedding,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Written before every run.
    Input {
        /// Its name, unique among leaves.
        name: String,
    },
    /// Trained; named as in the checkpoint.
    Parameter {
        /// Its name in diffusers' files.
        name: String,
        /// What it is.
        kind: ParamKind,
    },
    /// Kept from run to run, starts at zero unless written.
    State {
        /// Its name, unique among leaves.
        name: String,
    },
    /// The same number everywhere, fixed when the graph is compiled.
    Constant {
        /// The number.
        value: f32,
    },
    /// Computed.
    Op {
        /// The operation.
        op: Arc<dyn Op>,
        /// Its inputs, which come earlier in the graph.
        inputs: Vec<Id>,
    },
}

/// A node: what it is, and the shape of its value.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// NHWC.
    pub shape: Shape,
}

impl Node {
    /// The inputs of a computed node; nothing for a leaf.
    pub fn inputs(&self) -> &[Id] {
        match &self.kind {
            NodeKind::Op { inputs, .. } => inputs,
            _ => &[],
        }
    }

    /// The name of a leaf.
    pub fn leaf_name(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Input { name } | NodeKind::Parameter { name, .. } | NodeKind::State { name } => Some(name),
            NodeKind::Op { .. } | NodeKind::Constant { .. } => None,
        }
    }
}

/// A parameter of a graph, in the order of first use.
#[derive(Clone, Debug)]
pub struct ParamSpec {
    /// Name in diffusers' files, such as `down_blocks.0.resnets.0.conv1.weight`.
    pub name: String,
    /// What it is.
    pub kind: ParamKind,
    /// Shape in the graph.
    pub shape: Shape,
    /// The node.
    pub id: Id,
}

/// A computation, written top to bottom; see the module's text.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    outputs: Vec<(String, Id)>,
    assigns: Vec<(Id, Id)>,
    scope: Vec<String>,
    /// What can be watched, see `watch.rs`.
    names: Vec<(String, watch::Named)>,
    /// The outputs that are there because they are watched.
    watched: Vec<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// All nodes; inputs of a node come before it.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node `id`.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id.index()]
    }

    /// The shape of `id`.
    pub fn shape(&self, id: Id) -> Shape {
        self.nodes[id.index()].shape
    }

    /// Named results.
    pub fn outputs(&self) -> &[(String, Id)] {
        &self.outputs
    }

    /// `(state, value)` pairs: after a run, the leaf `state` holds the value.
    pub fn assigns(&self) -> &[(Id, Id)] {
        &self.assigns
    }

    /// The parameters, in the order of their first use.
    pub fn parameters(&self) -> Vec<ParamSpec> {
        let spec = |(i, node): (usize, &Node)| match &node.kind {
            NodeKind::Parameter { name, kind } => {
                Some(ParamSpec { name: name.clone(), kind: *kind, shape: node.shape, id: Id(i as u32) })
            }
            _ => None,
        };
        self.nodes.iter().enumerate().filter_map(spec).collect()
    }

    /// The leaf (input, parameter or state) called `name`.
    pub fn leaf(&self, name: &str) -> Option<Id> {
        self.leaves().find(|(leaf, ..)| *leaf == name).map(|(_, id, _)| id)
    }

    /// The leaves (inputs, parameters and state) by name, each with its node and shape.
    pub fn leaves(&self) -> impl Iterator<Item = (&str, Id, Shape)> {
        let ids = (0..).map(Id);
        self.nodes.iter().zip(ids).filter_map(|(node, id)| Some((node.leaf_name()?, id, node.shape)))
    }

    /// An input; see [`Graph`].
    pub fn input(&mut self, name: &str, shape: Shape) -> Id {
        self.add_leaf(NodeKind::Input { name: name.to_owned() }, name, shape)
    }

    /// State; see [`Graph`].
    pub fn state(&mut self, name: &str, shape: Shape) -> Id {
        self.add_leaf(NodeKind::State { name: name.to_owned() }, name, shape)
    }

    /// The number `value` in every place.
    pub fn constant(&mut self, value: f32, shape: Shape) -> Id {
        self.push(Node { kind: NodeKind::Constant { value }, shape })
    }

    /// A parameter, named by the open scopes and `name`.
    pub fn parameter(&mut self, name: &str, kind: ParamKind, shape: Shape) -> Id {
        let name = self.path(Some(name));
        self.add_leaf(NodeKind::Parameter { name: name.clone(), kind }, &name, shape)
    }

    fn add_leaf(&mut self, kind: NodeKind, name: &str, shape: Shape) -> Id {
        assert!(self.leaf(name).is_none(), "the graph has two leaves called {name}");
        self.push(Node { kind, shape })
    }

    /// The open scopes and a name in them.
    fn path(&self, name: Option<&str>) -> String {
        self.scope.iter().map(String::as_str).chain(name).collect::<Vec<_>>().join(".")
    }

    /// Runs `f` with `name` added to the names of the parameters and values it makes.
    pub fn scoped<R>(&mut self, name: impl Into<String>, f: impl FnOnce(&mut Self) -> R) -> R {
        self.scope.push(name.into());
        let result = f(self);
        self.scope.pop();
        result
    }

    /// Appends a computed node.
    pub fn apply(&mut self, op: impl Op + 'static, inputs: &[Id]) -> Id {
        self.apply_arc(Arc::new(op), inputs)
    }

    /// Appends a computed node whose op is shared with another graph.
    pub fn apply_arc(&mut self, op: Arc<dyn Op>, inputs: &[Id]) -> Id {
        let shapes: Vec<Shape> = inputs.iter().map(|&i| self.shape(i)).collect();
        let shape = op.shape(&shapes);
        self.push(Node { kind: NodeKind::Op { op, inputs: inputs.to_vec() }, shape })
    }

    fn push(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        Id(self.nodes.len() as u32 - 1)
    }

    /// Names a result.
    pub fn output(&mut self, name: &str, value: Id) {
        assert!(self.outputs.iter().all(|(n, _)| n != name), "the graph has two outputs called {name}");
        self.outputs.push((name.to_owned(), value));
    }

    /// After every run the leaf `state` holds the value of `value`.
    pub fn assign(&mut self, state: Id, value: Id) {
        assert_eq!(self.shape(state), self.shape(value), "an assignment keeps the shape");
        assert!(self.node(state).leaf_name().is_some(), "only leaves are assigned to");
        assert!(self.assigns.iter().all(|&(s, _)| s != state), "a leaf is assigned once");
        self.assigns.push((state, value));
    }
}
