//! Matrix products and normalisations.

use tract_core::internal::{AxesMapping, OutletId, Tensor, TractResult, ensure};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math;

use super::node::Node;

impl Node<'_> {
    pub fn gemm(&mut self) -> TractResult<OutletId> {
        let (left, right) = (self.input(0)?, self.input(1)?);
        let ranks = [self.rank(left)?, self.rank(right)?];
        ensure!(ranks == [2, 2], "it multiplies matrices, not tensors of {ranks:?} axes");
        let transposed = [self.int("transA", 0) == 1, self.int("transB", 0) == 1];
        let product = self.product([left, right], transposed)?;
        let made = self.times(product, self.float("alpha", 1.0))?;
        let Some(bias) = self.optional(2) else { return Ok(made) };
        let bias = self.times(bias, self.float("beta", 1.0))?;
        self.broadcast(math::add(), &[made, bias])
    }

    fn times(&mut self, input: OutletId, factor: f32) -> TractResult<OutletId> {
        if factor == 1.0 {
            return Ok(input);
        }
        let factor = self.number(factor, self.rank(input)?)?;
        self.wire(math::mul(), &[input, factor])
    }

    pub fn mat_mul(&mut self) -> TractResult<OutletId> {
        let sides = [self.input(0)?, self.input(1)?];
        let ranks = [self.rank(sides[0])?, self.rank(sides[1])?];
        ensure!(ranks[0] == ranks[1] && ranks[0] >= 2, "its inputs have {ranks:?} axes");
        self.product(sides, [false, false])
    }

    fn product(&mut self, sides: [OutletId; 2], transposed: [bool; 2]) -> TractResult<OutletId> {
        let shapes = [self.shape(sides[0])?, self.shape(sides[1])?];
        let rank = shapes[0].len();
        let depth = |side: usize, last: bool| shapes[side][rank - if last { 1 } else { 2 }];
        let depths = [depth(0, !transposed[0]), depth(1, transposed[1])];
        ensure!(depths[0] == depths[1], "{:?} times {:?}", shapes[0], shapes[1]);
        let axes = AxesMapping::for_numpy_matmul(rank, transposed[0], transposed[1], false)?;
        let operating = self.model.outlet_fact(sides[0])?.datum_type;
        self.wire(EinSum::new(axes, operating), &sides)
    }

    /// As a multiplication and an addition for each channel.
    pub fn batch_normalization(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let rank = self.rank(input)?;
        let constants =
            [self.channels(1)?, self.channels(2)?, self.channels(3)?, self.channels(4)?];
        let [scale, shift, mean, variance] = &constants;
        let lengths = constants.each_ref().map(Vec::len);
        ensure!(lengths == [lengths[0]; 4], "its constants have {lengths:?} values");
        let epsilon = self.float("epsilon", 1e-5);
        let slope: Vec<f32> =
            scale.iter().zip(variance).map(|(scale, v)| scale / (v + epsilon).sqrt()).collect();
        let offset =
            shift.iter().zip(mean).zip(&slope).map(|((shift, m), slope)| shift - m * slope);
        let offset: Vec<f32> = offset.collect();
        let slope = self.for_channels(&slope, rank)?;
        let offset = self.for_channels(&offset, rank)?;
        let scaled = self.wire(math::mul(), &[input, slope])?;
        self.wire(math::add(), &[scaled, offset])
    }

    /// Each image and channel by the mean and variance of its pixels.
    pub fn instance_normalization(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let rank = self.rank(input)?;
        let pixels: Vec<usize> = (2..rank).collect();
        let (scale, shift) = (self.channels(1)?, self.channels(2)?);
        let epsilon = self.number(self.float("epsilon", 1e-5), rank)?;
        let (scale, shift) = (self.for_channels(&scale, rank)?, self.for_channels(&shift, rank)?);
        let mean = self.mean(input, &pixels)?;
        let difference = self.wire(math::sub(), &[input, mean])?;
        let squares = self.wire(math::square(), &[difference])?;
        let variance = self.mean(squares, &pixels)?;
        let spread = self.wire(math::add(), &[variance, epsilon])?;
        let root = self.wire(math::rsqrt(), &[spread])?;
        let divided = self.wire(math::mul(), &[difference, root])?;
        let scaled = self.wire(math::mul(), &[divided, scale])?;
        self.wire(math::add(), &[scaled, shift])
    }

    /// A constant of one value for each channel.
    fn channels(&self, place: usize) -> TractResult<Vec<f32>> {
        let shape = self.shape(self.input(0)?)?;
        let constant = self.constant(place)?;
        ensure!(
            shape.len() >= 3 && constant.len() == shape[1],
            "input {place} holds {} values, the image is {shape:?}",
            constant.len()
        );
        Ok(constant.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    }

    fn for_channels(&mut self, values: &[f32], rank: usize) -> TractResult<OutletId> {
        let mut shape = vec![1; rank];
        shape[1] = values.len();
        self.add_constant(Tensor::from_shape(&shape, values)?)
    }
}
