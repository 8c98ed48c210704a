using Tva.Core.Matrices;

namespace Tva.Core.Execution;

/// <summary>Comes in: a tensor whose turn for a matrix op has come. Goes out: its streams computed into whole matrices, one after another, and what the op makes of them.</summary>
internal sealed unsafe class MatrixRunner(Engine engine, Flow flow, KernelCall call, IProducts? products)
{
    /// <summary>From so many bytes on what a matrix leaves is collected at once.</summary>
    private const long Large = 32 << 20;

    /// <summary>Does a job of kind Matrix.</summary>
    /// <exception cref="FaultException">A matrix has NaN or infinity.</exception>
    public void Run(Job job)
    {
        var op = engine.Plan.Steps[job.Step].Matrices[job.Matrix];
        var streams = engine.MatrixOf(job.Step, job.Matrix, job.Tensor)!;
        var cost = MatrixCost.Of(engine.Plan, op, engine.Plan.Tensors[job.Tensor].Shape, job.Tensor, streams.Length);
        if (!engine.MatrixMemory.TryTake(cost.Work, () => flow.Scheduler.Failed))
        {
            return;
        }

        try
        {
            Make(job, op, streams);
        }
        catch (MatrixNotFiniteException)
        {
            var sources = streams.SelectMany(k => k.Kernel.Inputs).OfType<FileInput>().Select(f => engine.Plan.Sources[f.Source].Path).Distinct();
            throw new FaultException(
                $"{engine.Plan.Tensors[job.Tensor].Name}: what is computed of {string.Join(", ", sources)} has NaN or infinity there, and such a matrix "
                + "has no singular values; repair that file, or leave the tensor out");
        }
        finally
        {
            // Large arrays wait long for the collector; without this a model's matrices pile up beyond the budget.
            if (cost.Work > Large)
            {
                GC.Collect(2, GCCollectionMode.Forced, blocking: true);
            }

            engine.MatrixMemory.Return(cost.Work);
        }
    }

    private void Make(Job job, MatrixOp op, StepKernel[] streams)
    {
        var (rows, columns) = engine.Plan.Tensors[job.Tensor].Shape.Sides;
        var (m, n) = (checked((int)rows), checked((int)columns));
        var argument = op.Argument < 0 ? 0 : engine.Scalars.Get(op.Argument, job.Tensor);
        var (workers, stop) = (new Workers(engine.Budget.Workers) { Products = products }, flow.Scheduler.Stopping);
        switch (op.Kind)
        {
            case MatrixKind.LowRank:
                // A schedule that means 3 may come to 2.9999999999999996.
                var rank = Math.Max(1, (int)Math.Min(Math.Floor(argument + 1e-6), Math.Min(m, n)));
                Keep(TruncatedSvd.ByRank(Matrix(job, streams[0]), m, n, rank, workers, cancel: stop));
                break;
            case MatrixKind.KeptEnergy:
                Keep(TruncatedSvd.ByEnergy(Matrix(job, streams[0]), m, n, argument, workers, cancel: stop));
                break;
            case MatrixKind.Polar:
                var factor = PolarFactor.Of(Matrix(job, streams[0]), m, n, workers, stop);
                engine.Matrices.Set(new MadeMatrix.Whole(factor), Report(Math.Min(m, n), double.NaN, double.NaN));
                break;
            default:
                var triples = TsvMerge.Triples(m, n, streams.Length, argument);
                var (left, right, merged) = TsvMerge.Run(streams.Length, m, n, triples, (i, x) => Fill(job, streams[i], x), workers, cancel: stop);
                engine.Matrices.Set(new MadeMatrix.Product(left, right, merged, n), Report(merged, double.NaN, double.NaN));
                break;
        }

        void Keep(LowRankFactors f) => engine.Matrices.Set(new MadeMatrix.Product(f.Left, f.Right, f.Rank, n), Report(f.Rank, f.Error, f.Norm), f);

        MatrixReport Report(int rank, double error, double norm) => new(job.Step, job.Matrix, job.Tensor, rank, error, norm);
    }

    /// <summary>A stream over the whole tensor.</summary>
    private float[] Matrix(Job job, StepKernel kernel)
    {
        var matrix = GC.AllocateUninitializedArray<float>(checked((int)engine.Shape.Elements[job.Tensor]));
        Fill(job, kernel, matrix);
        return matrix;
    }

    private void Fill(Job job, StepKernel kernel, float[] matrix)
    {
        var elements = engine.Shape.Elements[job.Tensor];
        var unit = engine.Budget.BlockElements(kernel, engine.Plan.Tensors[job.Tensor].Shape);
        for (long at = 0; at < elements && !flow.Scheduler.Failed; at += unit)
        {
            var count = Math.Min(unit, elements - at);
            call.Arrange(kernel, job.Tensor, unit);
            call.Read(job.Tensor, at, count);
            for (long within = 0; within < count; within += kernel.CallElements)
            {
                var length = (int)Math.Min(kernel.CallElements, count - within);
                call.Run(job.Step, job.Tensor, at + within, within, 0, length);
                new ReadOnlySpan<float>(call.Stream(0), length).CopyTo(matrix.AsSpan((int)(at + within)));
            }
        }
    }
}
