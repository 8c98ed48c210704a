using Tva.Core.Devices;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>What is told where libtorch can't be had, with what to do.</summary>
public class TorchLibraryTests
{
    [Fact]
    public void AFolderWithoutTheBackendIsNamed()
    {
        using var folder = new TempFolder();
        var library = new TorchLibrary(folder.Path, null);
        Assert.Empty(library.Devices);
        Assert.Contains(folder.Path, library.Missing);
        Assert.Contains("Tva.Core.Torch.dll", library.Missing);
        Assert.Contains("-p:Torch=cpu", library.Missing);
    }

    /// <summary>The loader's own words, which name the file and what it lacks, and no exception.</summary>
    [Fact]
    public void ANativeLibraryThatCannotBeLoadedSaysWhy()
    {
        Assert.SkipUnless(Directory.Exists(Path.Combine(AppContext.BaseDirectory, "torch")), "built without -p:Torch");
        using var folder = new TempFolder();
        File.WriteAllText(folder["libLibTorchSharp.so"], "no library");
        File.WriteAllText(folder["LibTorchSharp.dll"], "no library");
        File.WriteAllText(folder["libLibTorchSharp.dylib"], "no library");
        var library = new TorchLibrary(null, folder.Path);
        Assert.Empty(library.Devices);
        Assert.Contains(folder.Path, library.Missing);
        Assert.Contains(TorchLibrary.NativeVariable, library.Missing);
    }
}
