namespace Tva.Core.Devices.Rendering;

/// <summary>A program as source.</summary>
/// <param name="Source">The text, without a prelude.</param>
/// <param name="Entries">Its kernels; a call runs all of them. The first one stores and guards.</param>
/// <param name="Constants">The values that the parameter block ends with: sources that differ in constants alone are one.</param>
/// <param name="Guards">Whether flags are set.</param>
internal sealed record RenderedProgram(string Source, IReadOnlyList<RenderedEntry> Entries, IReadOnlyList<float> Constants, bool Guards);

/// <summary>A kernel of a program.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Width">Elements that a work-item takes, one after the other; 0 where a cell has <paramref name="OfCell"/> work-items.</param>
/// <param name="OfCell">Work-items of a cell, or 0.</param>
/// <param name="Group">Work-items of a group.</param>
internal sealed record RenderedEntry(string Name, int Width, int OfCell, int Group)
{
    /// <summary>Work-items for a block of so many elements.</summary>
    public long Items(int count) => Width > 0 ? (count + Width - 1L) / Width : (count + BlockProgram.CellElements - 1L) / BlockProgram.CellElements * OfCell;
}
