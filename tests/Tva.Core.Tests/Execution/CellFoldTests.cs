using Tva.Core.Execution;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Blocks' results in any order against a sum in the order of the cells.</summary>
public class CellFoldTests
{
    private static readonly StepReductions Reductions = new(
        [new(ReduceKind.MaxAbs, Extent.All), new(ReduceKind.Sum, Extent.All), new(ReduceKind.Min, Extent.Tensor), new(ReduceKind.Dot, Extent.Layer)]);

    [Fact]
    public void TheOrderOfArrivalDoesNotShow()
    {
        const int blocks = 40, cells = 3;
        var random = new Random(1);
        var results = Enumerable.Range(0, blocks * cells)
            .Select(_ => Reductions.Slots.Select(_ => (random.NextDouble() - 0.5) * Math.Pow(2, random.Next(40))).ToArray()).ToArray();
        var expected = results.Aggregate((x, y) => [.. x.Select((v, s) => Reductions.Kinds[s] switch
        {
            ReduceKind.MaxAbs => Math.Max(v, y[s]),
            ReduceKind.Min => Math.Min(v, y[s]),
            _ => v + y[s],
        })]);
        for (var trial = 0; trial < 20; trial++)
        {
            var order = Enumerable.Range(0, blocks).ToArray();
            random.Shuffle(order);
            var fold = new CellFold(Reductions, blocks);
            var room = new double[cells * Reductions.Slots.Length];
            foreach (var block in order)
            {
                for (var cell = 0; cell < cells; cell++)
                {
                    results[(block * cells) + cell].CopyTo(room, cell * Reductions.Slots.Length);
                }

                room = fold.Add(block, room, cells, () => false);
                room.AsSpan().Fill(double.NaN);
            }

            Assert.Equal(expected, fold.Values);
        }
    }

    [Fact]
    public async Task WhoComesTooEarlyWaitsForTheirTurnOrAFailure()
    {
        var cancel = TestContext.Current.CancellationToken;
        var fold = new CellFold(Reductions, 1);
        var first = new double[] { 1, 1, 1, 1 };
        Assert.NotSame(first, fold.Add(1, first, 1, () => false));
        var waiting = Task.Run(() => fold.Add(2, [2, 2, 2, 2], 1, () => false), cancel);
        await Task.Delay(50, cancel);
        Assert.False(waiting.IsCompleted);
        fold.Add(0, [4, 4, 4, 4], 1, () => false);
        await waiting;
        fold.Add(4, [5, 5, 5, 5], 1, () => false);
        var failed = false;
        var givesUp = Task.Run(() => fold.Add(5, [9, 9, 9, 9], 1, () => Volatile.Read(ref failed)), cancel);
        await Task.Delay(50, cancel);
        Assert.False(givesUp.IsCompleted);
        Volatile.Write(ref failed, true);
        await givesUp;
        Assert.Equal(Reductions.Kinds.Select(k => k switch { ReduceKind.MaxAbs => 4.0, ReduceKind.Min => 1, _ => 7 }), fold.Values);
    }
}
