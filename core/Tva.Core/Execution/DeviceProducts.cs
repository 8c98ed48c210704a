using Tva.Core.Devices;
using Tva.Core.Matrices;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: products of whole matrices in host memory. Goes out: the same from a worker's device, where there is so much to compute that the way
/// there and back is nothing beside it, and room for the three matrices beside the operands that stay there.
/// </summary>
internal sealed unsafe class DeviceProducts(IBlockLane lane, HeldOperands held) : IProducts
{
    /// <summary>Steps that each element on its way must be worth: it takes as long as some ten on a few threads, and starting costs too.</summary>
    private const double LeastSteps = 64;

    /// <summary>Whether products are sent to a device: never to the processor by a detour.</summary>
    public static bool Serves(IBlockDevice device) => device.Multiplies && device.Info.Kind != DeviceKind.Processor;

    /// <summary>Those of a worker's device; null where threads do all.</summary>
    public static DeviceProducts? Of(Engine engine, IBlockLane? lane) =>
        lane is not null && Serves(engine.Device!) && engine.Operands is { } held ? new(lane, held) : null;

    /// <inheritdoc/>
    public bool TryMultiply(MatrixProduct.Product product)
    {
        double m = product.Rows, k = product.Inner, n = product.Columns;
        if (m * k * n < LeastSteps * ((m * k) + (k * n) + (m * n)))
        {
            return false;
        }

        IHeld?[] places = [held.Lend(Bytes(m * k)), held.Lend(Bytes(k * n)), held.Lend(Bytes(m * n))];
        try
        {
            if (places is not [{ } left, { } right, { } made])
            {
                return false;
            }

            lane.Multiply(
                new(product.A, product.Rows, product.Inner, product.ATransposed, left), new(product.B, product.Inner, product.Columns, product.BTransposed, right),
                product.C, made);
            return true;
        }
        finally
        {
            foreach (var place in places.OfType<IHeld>())
            {
                held.Return(place);
            }
        }

        static long Bytes(double elements) => (long)elements * sizeof(float);
    }
}
