using Tva.Core.Devices;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Tests.Devices;

/// <summary>
/// Graphics cards that only tests know: they compute linear plans by the interpreter, and fail where they are told to.
/// </summary>
internal sealed class FakeProvider : IDeviceProvider
{
    public const string Prefix = "test:";

    public static FakeProvider Instance { get; } = Add();

    public string Name => "test";

    public string? Missing => null;

    public IReadOnlyList<DeviceInfo> Devices { get; } =
    [
        Card("good"), Card("broken compiler"), Card("lost at once"), Card("lost later"), Card("lost once"), Card("two at once"), Card("small", 1 << 10),
        Card("twin of a"), Card("twin of b"), Card("old", unusable: "its driver is too old; update it"), Card("two ways", unusable: "not this way"),
    ];

    private int opened;

    /// <summary>Ids of devices that were closed.</summary>
    public static System.Collections.Concurrent.ConcurrentBag<string> Closed { get; } = [];

    public static string Id(string name) => Prefix + name.Replace(' ', '-');

    public IBlockDevice Open(DeviceInfo info, DeviceOptions options) => new Device(options.Memory is { } most ? info with { Memory = most } : info, Interlocked.Increment(ref opened));

    private static FakeProvider Add()
    {
        var provider = new FakeProvider();
        DeviceCatalog.Add(provider);
        return provider;
    }

    private static DeviceInfo Card(string name, long memory = 1L << 30, string? unusable = null) =>
        new(Id(name), $"Test card, {name}", "tests 1.0", memory, DeviceKind.Gpu, true, false, true, unusable);

    private sealed record Kernel(BlockProgram Program) : IBlockKernel;

    private sealed class Device(DeviceInfo info, int number) : IBlockDevice
    {
        private static int firstLostOnce;

        private int blocks;
        private int inside;
        private volatile bool met;

        public DeviceInfo Info => info;

        public long Memory => info.Memory;

        public bool Multiplies => false;

        public string? Refusal(BlockProgram program) => program.Cells.Count + program.Rows.Count > 0 ? "tests reduce nothing" : null;

        public IBlockKernel Compile(BlockProgram program) => info.Id == Id("broken compiler")
            ? throw new DeviceFaultException($"{info.Name}: its compiler refuses a kernel") : new Kernel(program);

        public IBlockLane Open(long staging) => new Lane(this, staging);

        public IHeld? Hold(long bytes) => null;

        public void Dispose() => Closed.Add(info.Id);

        public void Block()
        {
            if (info.Id == Id("two at once"))
            {
                Meet();
            }

            var once = info.Id == Id("lost once") && Interlocked.CompareExchange(ref firstLostOnce, number, 0) is var first && (first == 0 || first == number);
            if (once || info.Id == Id("lost at once") || (info.Id == Id("lost later") && Interlocked.Increment(ref blocks) > 3))
            {
                throw new DeviceFaultException($"{info.Name} was lost; compute with --device cpu") { Lost = true };
            }
        }

        /// <summary>The first block waits for a second one to come while it is here.</summary>
        private void Meet()
        {
            if (Interlocked.Increment(ref inside) > 1)
            {
                met = true;
            }

            var seen = SpinWait.SpinUntil(() => met, TimeSpan.FromSeconds(20));
            Interlocked.Decrement(ref inside);
            if (!seen)
            {
                throw new DeviceFaultException($"{info.Name}: one block at a time");
            }
        }
    }

    private sealed unsafe class Lane(Device device, long staging) : IBlockLane
    {
        private readonly Block memory = new(staging);

        public byte* Staging => memory.Pointer;

        public void Run(IBlockKernel kernel, BlockCall call)
        {
            device.Block();
            var inputs = stackalloc byte*[call.Inputs.Length + 1];
            var outputs = stackalloc byte*[call.Outputs.Length + 1];
            for (var i = 0; i < call.Inputs.Length; i++)
            {
                inputs[i] = call.Inputs[i].Host;
            }

            for (var o = 0; o < call.Outputs.Length; o++)
            {
                outputs[o] = (byte*)call.Outputs[o];
            }

            _ = Interpreter.Run(kernel.Program.Program, inputs, outputs, null, call.Count);
            Array.Clear(call.Flags);
        }

        public void Multiply(MatrixOperand a, MatrixOperand b, float* c, IHeld place) => throw new NotSupportedException();

        public void Copy(IHeld from, IHeld to) => throw new NotSupportedException();

        public void Dispose() => memory.Dispose();
    }
}
