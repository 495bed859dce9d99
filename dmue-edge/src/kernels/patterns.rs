//! What networks do in several small nodes and the kernels in one step, or in none.

use tract_core::internal::{DimLike, OutletId, TDim, Tensor, TypedNode};
use tract_core::ops::array::Slice;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::nn::{Reduce, Reducer};

use super::lower::{Finder, constant};
use super::region::{Kind, Normalisation, Operation, View, Window, floats};

impl Finder<'_> {
    /// Channels in groups, transposed: what reads them reads them elsewhere.
    pub(super) fn shuffle(&mut self, node: &TypedNode, last: &AxisOp) -> Option<View> {
        let AxisOp::Reshape(1, transposed, whole) = last else { return None };
        let moved = self.only_read_by(node.inputs[0], node)?;
        let (AxisOp::Move(1, 2) | AxisOp::Move(2, 1)) = moved.op_as()? else { return None };
        let split = self.only_read_by(moved.inputs[0], moved)?;
        let AxisOp::Reshape(1, from, grouped) = split.op_as()? else { return None };
        let &[groups, each] = lengths(grouped)?.as_slice() else { return None };
        let (image, before) = self.ordered(split.inputs[0])?;
        let channels = self.images[image][2];
        let fits = groups * each == channels
            && lengths(from)? == [channels]
            && lengths(whole)? == [channels]
            && lengths(transposed)? == [each, groups];
        let view = self.views.get(&split.inputs[0]).filter(|_| fits)?.clone();
        let old = (0..channels).map(|channel| channel % groups * each + channel / groups);
        let place = |channel: usize| before.as_ref().map_or(channel, |order| order[channel]);
        let order = Some(old.map(place).collect());
        self.taken.extend([moved.id, split.id]);
        Some(View { order, ..view })
    }

    /// Instance normalisation of the first channels, the others as they were (half of each in IBN-a), as tract
    /// writes it out.
    pub(super) fn half_instance_norm(&mut self, node: &TypedNode) -> Option<View> {
        let &[normalised, others] = node.inputs.as_slice() else { return None };
        let [scaled, shift] = self.operands(normalised, "Add")?;
        let [divided, scale] = self.operands(scaled, "Mul")?;
        let [difference, root] = self.operands(divided, "Mul")?;
        let [first, mean] = self.operands(difference, "Sub")?;
        let spread = self.operand(root, "Rsqrt")?;
        let [variance, epsilon] = self.operands(spread, "Add")?;
        let (squares, of_squares) = self.mean(variance)?;
        let (values, of_values) = self.mean(mean)?;
        let (range, other_range) = (self.slice(first)?, self.slice(others)?);
        let input = self.model.node(first.node).inputs[0];
        let image = self.image(input)?;
        let [height, width, channels] = self.images[image];
        let (scale, shift) = (constant(self.model, scale)?, constant(self.model, shift)?);
        let normalisation = Normalisation {
            scale: floats(&scale)?.to_vec(),
            shift: floats(&shift)?.to_vec(),
            epsilon: scalar(&*constant(self.model, epsilon)?)?,
        };
        let length = normalisation.scale.len();
        let same = self.operand(squares, "Square")? == difference
            && values == first
            && self.model.node(others.node).inputs[0] == input
            && [range, other_range] == [[0, length], [length, channels]]
            && normalisation.shift.len() == length
            && [of_values, of_squares] == [(height * width) as f32; 2];
        let sums = [mean, variance].map(|mean| self.model.node(mean.node).inputs[0]);
        let inside =
            [normalised, scaled, divided, root, spread, difference, squares, first, others];
        let inside = inside.into_iter().chain([mean, variance]).chain(sums);
        let inside: Vec<usize> = inside.map(|outlet| outlet.node).collect();
        if !same || !self.only_read_among(&inside, node) {
            return None;
        }
        let kind = Kind::InstanceNorm(normalisation);
        let view = self.push(node, Operation::new(kind, Window::POINT, image))?;
        self.taken.extend(inside);
        Some(view)
    }

    /// The node that makes a tensor which only `reader` reads.
    fn only_read_by(&self, outlet: OutletId, reader: &TypedNode) -> Option<&TypedNode> {
        self.only_read_among(&[outlet.node], reader).then(|| self.model.node(outlet.node))
    }

    /// Whether these nodes have one output each, which only they and `last` read.
    fn only_read_among(&self, nodes: &[usize], last: &TypedNode) -> bool {
        let known = |id: &usize| *id == last.id || nodes.contains(id);
        let wanted = self.model.output_outlets().unwrap_or_default();
        nodes.iter().all(|&id| match self.model.node(id).outputs.as_slice() {
            [output] => {
                !wanted.contains(&id.into())
                    && output.successors.iter().all(|reader| known(&reader.node))
            }
            _ => false,
        })
    }

    /// What an operation of this name with two operands takes.
    fn operands(&self, outlet: OutletId, name: &str) -> Option<[OutletId; 2]> {
        let node = self.model.node(outlet.node);
        let named = node.op_as::<TypedBinOp>().is_some_and(|operator| operator.0.name() == name);
        named.then(|| node.inputs.as_slice().try_into().ok()).flatten()
    }

    fn operand(&self, outlet: OutletId, name: &str) -> Option<OutletId> {
        let node = self.model.node(outlet.node);
        let &[input] = node.inputs.as_slice() else { return None };
        (node.op.name() == name).then_some(input)
    }

    /// A sum over all pixels, divided: of what, and by what.
    fn mean(&self, outlet: OutletId) -> Option<(OutletId, f32)> {
        let [sum, count] = self.operands(outlet, "Div")?;
        let node = self.model.node(sum.node);
        let Reduce { axes, reducer: Reducer::Sum } = node.op_as()? else { return None };
        let count = scalar(&*constant(self.model, count)?)?;
        (axes.as_slice() == [2, 3]).then_some((node.inputs[0], count))
    }

    /// First channel, and the one behind the last.
    fn slice(&self, outlet: OutletId) -> Option<[usize; 2]> {
        let Slice { axis: 1, start, end } = self.model.node(outlet.node).op_as()? else {
            return None;
        };
        Some([start.to_usize().ok()?, end.to_usize().ok()?])
    }
}

fn lengths(dimensions: &[TDim]) -> Option<Vec<usize>> {
    dimensions.iter().map(|dimension| dimension.to_usize().ok()).collect()
}

fn scalar(tensor: &Tensor) -> Option<f32> {
    (tensor.len() == 1).then(|| tensor.cast_to_scalar::<f32>().ok()).flatten()
}
