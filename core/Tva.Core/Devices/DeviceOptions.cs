namespace Tva.Core.Devices;

/// <summary>How a device is to be used.</summary>
public sealed record DeviceOptions
{
    /// <summary>Bytes of its memory that may be taken; null: three quarters.</summary>
    public long? Memory { get; init; }

    /// <summary>Where compiled programs are kept from one run to the next; null: nowhere.</summary>
    public string? CacheFolder { get; init; } = DefaultCacheFolder();

    /// <summary>Sums as on a device without float64, for tests.</summary>
    public bool WithoutFp64 { get; init; }

    private static string? DefaultCacheFolder()
    {
        var home = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(home))
        {
            home = OperatingSystem.IsWindows()
                ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } user ? Path.Combine(user, ".cache") : "";
        }

        return home.Length == 0 ? null : Path.Combine(home, "tva", "kernels");
    }
}
