namespace Tva.Core;

/// <summary>
/// A file, a disk or its content is wrong (exit status 1): the message names the file and, where there is one, the tensor,
/// and says the way out. Anything else that escapes the core is an internal error.
/// </summary>
public class FaultException(string message, Exception? inner = null) : Exception(message, inner);
