namespace Tva.Core.Matrices;

/// <summary>NaN or infinity in a matrix that is to be decomposed.</summary>
public sealed class MatrixNotFiniteException() : ArgumentException("NaN or infinity in the matrix");
