using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

public sealed class BlockPoolTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100_001)]
    public unsafe void Blocks_are_aligned_and_as_long_as_asked(long length)
    {
        using var block = new Block(length);
        Assert.Equal(length, block.Length);
        Assert.Equal(0, (long)block.Pointer % 64);
        block.Span(0, (int)length).Fill(7);
        Assert.Throws<ArgumentOutOfRangeException>(() => block.Span(1, (int)length).Length);
    }

    [Fact]
    public unsafe void A_disposed_block_has_no_memory()
    {
        var block = new Block(10);
        block.Dispose();
        block.Dispose();
        Assert.True(block.Pointer == null);
        Assert.Throws<ObjectDisposedException>(() => block.Span(0, 1).Length);
    }

    [Fact]
    public unsafe void Memory_is_used_again()
    {
        using var pool = new BlockPool(1 << 20);
        var first = pool.Rent(70_000, Stop);
        var pointer = (nint)first.Pointer;
        first.Dispose();
        Assert.Equal(0, pool.Rented);
        using var second = pool.Rent(69_000, Stop);
        Assert.Equal(pointer, (nint)second.Pointer);
        Assert.Equal(69_000, second.Length);
        first.Dispose(); // once more: must not give the second one's memory away
        using var third = pool.Rent(69_000, Stop);
        Assert.NotEqual((nint)second.Pointer, (nint)third.Pointer);
        Assert.Equal(pool.Held, pool.Rented);
    }

    [Fact]
    public void What_is_held_never_passes_the_budget()
    {
        using var pool = new BlockPool(1 << 20);
        var small = Enumerable.Range(0, 8).Select(_ => pool.Rent(100_000, Stop)).ToList();
        Assert.Null(pool.TryRent(500_000));
        small.ForEach(block => block.Dispose());
        Assert.True(pool.Held >= 800_000);
        using var large = pool.Rent(1 << 20, Stop); // idle small ones make room
        Assert.Equal(1 << 20, pool.Held);
        Assert.True(pool.PeakRented <= pool.Budget);
    }

    [Fact]
    public void A_block_larger_than_the_budget_is_a_fault_that_says_how_much_is_needed()
    {
        using var pool = new BlockPool(1 << 20);
        var fault = Assert.Throws<FaultException>(() => pool.Rent(3 << 20, Stop));
        Assert.Contains("budget of 1 MiB", fault.Message);
        Assert.Contains("at least 3 MiB with WithMemory", fault.Message);
        pool.Rent(1_000_000, Stop).Dispose(); // its size class is over the budget, it is not
    }

    [Fact]
    public async Task A_rent_waits_for_a_return_or_its_cancellation()
    {
        using var pool = new BlockPool(1 << 20);
        var all = pool.Rent(1 << 20, Stop);
        var waiting = Task.Run(() => pool.Rent(1 << 20, Stop), Stop);
        using var cancel = new CancellationTokenSource();
        var cancelled = Task.Run(() => pool.Rent(1 << 20, cancel.Token), Stop);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        Assert.False(waiting.IsCompleted);
        all.Dispose();
        (await waiting).Dispose();
    }

    [Theory]
    [InlineData(1, 4096)]
    [InlineData(4096, 4096)]
    [InlineData(4097, 5120)]
    [InlineData(1 << 20, 1 << 20)]
    [InlineData((1 << 20) + 1, (1 << 20) + (1 << 18))]
    [InlineData((1 << 21) - 1, 1 << 21)]
    public void Sizes_are_rounded_up_by_at_most_a_quarter(long bytes, long expected) => Assert.Equal(expected, BlockPool.SizeClass(bytes));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(2L << 30, "2 GiB")]
    [InlineData(long.MaxValue, "8 EiB")]
    public void Sizes_read_as_people_write_them(long bytes, string text) => Assert.Equal(text, Sizes.Text(bytes));

    /// <summary>What is said to be enough is, and hardly more.</summary>
    [Theory]
    [InlineData(1, "1 B")]
    [InlineData(1025, "1.01 KiB")]
    [InlineData(4519363, "4.32 MiB")]
    [InlineData(1L << 31, "2 GiB")]
    [InlineData((1L << 31) + 1, "2.01 GiB")]
    public void Enough_is_rounded_up(long bytes, string text) => Assert.Equal(text, Sizes.Enough(bytes));
}
