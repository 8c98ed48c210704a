namespace Tva.Core.Bases;
internal static class PublishedBasis
{
    public const string FileName = "method_info.json";
    public static StoredBasis Open(string path) => throw new FaultException(path);
}
