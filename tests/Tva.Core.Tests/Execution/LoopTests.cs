using Tva.Core.Execution;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Loops of scalars against the same rounds written as C#: over the model, layers, tensors and rows, and what is refused.</summary>
public sealed class LoopTests
{
    private static readonly (string Name, Shape Shape)[] Shapes = [("l.0.a", new(1500, 7)), ("l.0.b", new(3, 2000)), ("l.1.a", new(0)), ("end", new(9000))];

    /// <summary>x ← x/2 + s/x + k and k ← where(x &lt; 3, k + 1, k), both from the values before the round.</summary>
    private static ScalarLoop Newton(int rounds, int x, int k, int s, int half, int one, int three) => new(
        rounds, 11, [x, k], [new(2, s), new(3, half), new(4, one), new(5, three)],
        [
            new(6, Plans.Op("mul"), 0, 3), new(7, Plans.Op("div"), 2, 0), new(8, Plans.Op("fma"), 7, 4, 6), new(9, Plans.Op("lt"), 0, 5),
            new(10, Plans.Op("add"), 1, 9),
        ],
        [8, 10]);

    private static (double X, double K) Rounds(int rounds, double s)
    {
        double x = 1, k = 0;
        for (var i = 0; i < rounds; i++)
        {
            (x, k) = (Math.FusedMultiplyAdd(s / x, 1, x * 0.5), k + (x < 3 ? 1 : 0));
        }

        return (x, k);
    }

    [Theory]
    [InlineData(Extent.All)]
    [InlineData(Extent.Layer)]
    [InlineData(Extent.Tensor)]
    [InlineData(Extent.Row)]
    public void RoundsAreThoseOfACode(Extent extent)
    {
        using var source = new MemoryCheckpoint("m");
        var values = Shapes.Select((s, i) => Plans.Normal(i, (int)s.Shape.Elements)).ToArray();
        for (var i = 0; i < Shapes.Length; i++)
        {
            source.Add(Shapes[i].Name, Shapes[i].Shape, values[i]);
        }

        var loop = Newton(9, 1, 0, 4, 2, 1, 3);
        var plan = new ExecutionPlan(
            [source], Plans.Tensors(source),
            [
                new StaticScalar(Extent.All, [0]), new StaticScalar(Extent.All, [1]), new StaticScalar(Extent.All, [0.5]), new StaticScalar(Extent.All, [3]),
                new ReducedScalar(extent, 0, 0), new LoopScalar(extent, loop, 0), new ComputedScalar(extent, Plans.Op("neg"), 5), new LoopScalar(extent, loop, 1),
            ],
            [new Step([new Reduction(ReduceKind.SumAbs, extent)], [Plans.Streams(DType.F32, 1, new ReductionFeed(0))])],
            [], [4, 5, 6, 7]);
        foreach (var options in (RunOptions[])[Plans.Options, new(2 << 20, 1, false)])
        {
            using var result = Plans.Execute(plan, options);
            for (var i = 0; i < result.Results[0].Length; i++)
            {
                // The sum itself is tested elsewhere; what a loop makes of it is exact.
                var (x, k) = Rounds(9, result.Results[0][i]);
                Assert.Equal(x, result.Results[1][i]);
                Assert.Equal(-x, result.Results[2][i]);
                Assert.Equal(k, result.Results[3][i]);
            }

            Assert.Equal(extent switch { Extent.All => 1, Extent.Layer => 3, Extent.Tensor => 4, _ => 1504 }, result.Results[1].Length);
        }
    }

    [Fact]
    public void WhatStaysAsItIsNeedsNoFurtherRounds()
    {
        // A thousand million rounds of x/2 end once x is 0.
        var loop = new ScalarLoop(1_000_000_000, 3, [0], [new(1, 1)], [new(2, Plans.Op("mul"), 0, 1)], [2]);
        Assert.Equal(0, Run(loop));
    }

    [Fact]
    public void StatesChangeAllAtOnce()
    {
        // (a, b) ← (b, a), three times.
        Assert.Equal(0.5, Run(new ScalarLoop(3, 2, [0, 1], [], [], [1, 0])));
        Assert.Equal(8, Run(new ScalarLoop(4, 2, [0, 1], [], [], [1, 0])));
        Assert.Equal(8, Run(new ScalarLoop(0, 2, [0, 1], [], [], [1, 0])));
    }

    [Fact]
    public void ALoopThatContradictsItselfIsRefused()
    {
        var mul = Plans.Op("mul");
        foreach (var wrong in (ScalarLoop[])
            [
                new(-1, 1, [0], [], [], [0]),
                new(1, 1, [], [], [], []),
                new(1, 1, [0], [], [], []),
                new(1, 0, [0], [], [], [0]),
                new(1, 1, [0], [], [], [1]),
                new(1, 2, [0], [new(0, 1)], [], [0]),
                new(1, 2, [0], [new(2, 1)], [], [0]),
                new(1, 2, [0], [new(1, 7)], [], [0]),
                new(1, 2, [0], [], [new(0, mul, 0, 0)], [0]),
                new(1, 3, [0], [], [new(1, mul, 0, 2), new(2, mul, 0, 0)], [1]),
                new(1, 2, [0], [], [new(1, 1000, 0, 0)], [1]),
                new(1, 2, [2], [], [], [0]),
            ])
        {
            Assert.Throws<ArgumentException>(() => Run(wrong));
        }

        Assert.Throws<ArgumentException>(() => Run(new ScalarLoop(1, 1, [0], [], [], [0]), state: 1));
    }

    /// <summary>A state of a loop that may start from 8 and 0.5.</summary>
    private static double Run(ScalarLoop loop, int state = 0)
    {
        using var source = new MemoryCheckpoint("m");
        source.Add("w", new Shape(4), new float[4]);
        var plan = new ExecutionPlan(
            [source], Plans.Tensors(source), [new StaticScalar(Extent.All, [8]), new StaticScalar(Extent.All, [0.5]), new LoopScalar(Extent.All, loop, state)],
            [], [], [2]);
        using var result = Plans.Execute(plan, Plans.Options);
        return result.Results[0][0];
    }
}
