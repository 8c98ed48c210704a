using Tva.Core.Devices;
using Tva.Core.Execution;
using Tva.Core.Matrices;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>Products of whole matrices on every device that multiplies them, to the CPU's bits.</summary>
public unsafe class MatrixConformance
{
    /// <summary>The others leave them to the CPU.</summary>
    public static TheoryData<string> Devices => DeviceRig.ExactDevices;

    /// <summary>Tiles that are whole and not, one chain and several, factors that lie either way.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void ProductsHaveTheSameBits(string name)
    {
        var device = DeviceRig.Open(name);
        Assert.True(device.Multiplies);
        using var lane = device.Open(1 << 12);
        var products = new DeviceProducts(lane, new HeldOperands(device));
        foreach (var (m, k, n) in ((int, int, int)[])[(192, 192, 192), (257, 400, 301), (130, 193, 700), (300, 211, 160), (320, 577, 320)])
        {
            float[] a = Plans.Normal(m, m * k), b = Plans.Normal(n, k * n), expected = new float[m * n], got = new float[m * n];
            foreach (var (left, right) in ((bool, bool)[])[(false, false), (true, false), (false, true)])
            {
                fixed (float* x = a, y = b, e = expected, g = got)
                {
                    MatrixProduct.Multiply(x, left, y, right, e, m, k, n, 2, TestContext.Current.CancellationToken);
                    Array.Fill(got, float.NaN);
                    Assert.True(products.TryMultiply(new(x, left, y, right, g, m, k, n)));
                }

                Assert.Equal(expected, got);
            }
        }
    }

    /// <summary>Thin ones cost more on the way than here, and what has no room is left alone.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void WhatDoesNotPayOrFitIsLeftToThreads(string name)
    {
        var device = DeviceRig.Open(name);
        using var lane = device.Open(1 << 12);
        using var small = DeviceCatalog.Open(device.Info.Id, new DeviceOptions { Memory = 1 << 20, CacheFolder = null });
        using var inSmall = small.Open(1 << 12);
        var held = new HeldOperands(small);
        var memory = new float[400 * 400];
        fixed (float* x = memory)
        {
            Assert.False(new DeviceProducts(lane, new HeldOperands(device)).TryMultiply(new(x, false, x, false, x, 400, 400, 16)));
            Assert.False(new DeviceProducts(inSmall, held).TryMultiply(new(x, false, x, false, x, 400, 400, 400)));
        }

        Assert.Equal(0, held.Bytes);
    }
}
