namespace Tva.Core.Bases;

/// <summary>
/// A Gram matrix G = VᵀV of T tasks in, an encoder B (T×M) and a decoder W (M×T) out (arXiv 2502.01015): atoms are V·B, tasks
/// come back as V·B·W. All of it is arithmetic on T×T numbers in float64, and the same on every machine for the same G, options
/// and seed. Several groups of tensors with a basis each are as many calls.
/// </summary>
public sealed class BasisSolver
{
    /// <summary>What a comparison with <see cref="BasisOptions.Error"/> allows for rounding.</summary>
    private const double Slack = 1e-9;

    private readonly GramFactor factor;
    private readonly BasisOptions options;
    private readonly Lazy<(double[] Values, double[,] Vectors)> centred;
    private readonly Lazy<double[,]> gram;

    private BasisSolver(GramFactor factor, BasisOptions options)
    {
        (this.factor, this.options) = (factor, options);
        centred = new(Centred);
        gram = new(() => Dense.Multiply(Dense.Transpose(factor.Rows), factor.Rows));
    }

    /// <summary>The basis of a Gram matrix.</summary>
    /// <param name="gram">G, T×T and symmetric, T at least 2.</param>
    /// <param name="options">The method, M or an error, and settings.</param>
    /// <exception cref="ArgumentException">Options that contradict each other or name what there is not.</exception>
    /// <exception cref="ArgumentOutOfRangeException">T below 2, M outside 1..T, a setting outside its range.</exception>
    /// <exception cref="BasisException">
    /// <see cref="BasisRankException"/>: M is above the rank of G; <see cref="BasisNonFiniteException"/>: NaN or infinity in G;
    /// <see cref="BasisUnreachedException"/>: no M brings the error down to what was asked for;
    /// <see cref="BasisDivergedException"/>: training left the finite numbers.
    /// </exception>
    public static BasisSolution Solve(double[,] gram, BasisOptions options)
    {
        options.Check();
        var tasks = gram.GetLength(0);
        if (tasks < 2)
        {
            throw new ArgumentOutOfRangeException(nameof(gram), "a basis needs two tasks or more");
        }

        if (options.Atoms < 1 || options.Atoms > tasks)
        {
            throw new ArgumentOutOfRangeException(nameof(options), $"{options.Atoms} atoms of {tasks} tasks: from 1 to {tasks}");
        }

        return new BasisSolver(GramFactor.Of(gram), options).Find();
    }

    private BasisSolution Find()
    {
        var most = options.Method == BasisMethod.Pca ? CentredRank() : factor.Rank;
        if (most < (options.Atoms ?? 1))
        {
            throw factor.TooFew(most);
        }

        if (options.Error is { } error)
        {
            return LeastAtoms(error, most);
        }

        return options is { Method: BasisMethod.Cluster, Atoms: null }
            ? Cluster(null)
            : With(options.Atoms ?? Math.Min(Math.Max(factor.Tasks / 2, 1), most));
    }

    /// <summary>The first M, from the least that the spectral bound allows, whose worst task is good enough.</summary>
    private BasisSolution LeastAtoms(double error, int most)
    {
        // Their atoms may depend on each other before the span is full.
        var last = options.Method is BasisMethod.Sample or BasisMethod.Cluster ? factor.Tasks : most;
        var (best, reached) = (0, double.PositiveInfinity);
        for (var atoms = 1; atoms <= last; atoms++)
        {
            if (factor.WorstBound(options.Method == BasisMethod.Pca ? atoms + 1 : atoms) > error + Slack)
            {
                continue;
            }

            var solution = With(atoms);
            var worst = BasisReport.Of(factor, solution).Worst;
            if (worst <= error + Slack)
            {
                return solution;
            }

            (best, reached) = worst < reached ? (atoms, worst) : (best, reached);
        }

        throw new BasisUnreachedException(reached, best);
    }

    private BasisSolution With(int atoms) => options.Method switch
    {
        BasisMethod.Svd => Svd(atoms),
        BasisMethod.Pca => Pca(atoms),
        BasisMethod.Random => Random(atoms),
        BasisMethod.Sample => Sample(atoms),
        BasisMethod.Cluster => Cluster(atoms),
        _ => Train(atoms),
    };

    /// <summary>
    /// B = Q, the eigenvectors of the M largest eigenvalues of G, largest entries positive; W = Qᵀ. An atom's norm is √λ.
    /// </summary>
    private BasisSolution Svd(int atoms)
    {
        var encoder = First(factor.Eigenvectors, atoms);
        return new(encoder, Dense.Transpose(encoder), HasMean: false, factor.Rank);
    }

    /// <summary>
    /// Around the mean μ = V1/T: B = Q, the top eigenvectors of JGJ with J = I − 11ᵀ/T, largest entries positive. JQ = Q, so that
    /// the atoms V·Q are the U·S of the singular value decomposition of V·J, and the coefficients W = Qᵀ.
    /// </summary>
    private BasisSolution Pca(int atoms)
    {
        var encoder = First(centred.Value.Vectors, atoms);
        return new(encoder, Dense.Transpose(encoder), HasMean: true, factor.Rank);
    }

    /// <summary>
    /// Gaussian combinations of the tasks, made orthonormal as vectors of the weights' space (BᵀGB = I): V·B is the Q of the QR
    /// decomposition of V times a Gaussian T×M, and W = BᵀG. A smaller M with the same seed gives the first of the same atoms.
    /// The published code draws in the space of weights instead, which captures only about M/d of the tasks.
    /// </summary>
    private BasisSolution Random(int atoms)
    {
        var random = new SeededRandom(options.Seed, "basis.random");
        var encoder = new double[factor.Tasks, atoms];
        for (var m = 0; m < atoms; m++)
        {
            for (var t = 0; t < factor.Tasks; t++)
            {
                encoder[t, m] = random.Normal();
            }
        }

        var images = Dense.Multiply(factor.Rows, encoder);
        for (var m = 0; m < atoms; m++)
        {
            // Gram-Schmidt, twice for the digits that the first time loses.
            for (var other = 0; other < 2 * m; other++)
            {
                var share = Dense.Dot(images, other % m, images, m);
                Dense.AddColumn(images, m, -share, other % m);
                Dense.AddColumn(encoder, m, -share, other % m);
            }

            var scale = (1 / Dense.Norm(images, m)) - 1;
            Dense.AddColumn(images, m, scale, m);
            Dense.AddColumn(encoder, m, scale, m);
        }

        return new(encoder, factor.ClosedForm(encoder), HasMean: false, factor.Rank);
    }

    /// <summary>
    /// M different tasks, every choice as likely; atoms are the tasks themselves. By default the others come back by least
    /// squares, with <c>selection</c> as zero. A smaller M with the same seed gives the first of the same tasks.
    /// </summary>
    private BasisSolution Sample(int atoms)
    {
        var random = new SeededRandom(options.Seed, "basis.sample");
        var tasks = Enumerable.Range(0, factor.Tasks).ToArray();
        for (var m = 0; m < atoms; m++)
        {
            var other = m + random.Below(tasks.Length - m);
            (tasks[m], tasks[other]) = (tasks[other], tasks[m]);
        }

        var selected = tasks[..atoms];
        var encoder = Dense.Build(factor.Tasks, atoms, (t, m) => selected[m] == t ? 1 : 0);
        var decoder = options.DecoderOrDefault == "selection" ? Dense.Transpose(encoder) : factor.ClosedForm(encoder);
        return new(encoder, decoder, HasMean: false, factor.Rank, Selected: selected);
    }

    /// <summary>
    /// An atom per cluster (see <see cref="SpectralClusters"/>), the mean or the sum of its tasks. By default tasks come back by
    /// least squares; with <c>membership</c> each as the mean of its cluster, which for a sum is the atom divided by the number
    /// of tasks.
    /// </summary>
    private BasisSolution Cluster(int? atoms)
    {
        var norm = factor.Norm;
        var cosine = Dense.Build(
            norm.Length, norm.Length, (i, j) => norm[i] > 0 && norm[j] > 0 ? gram.Value[i, j] / norm[i] / norm[j] : 0);
        var clusters = SpectralClusters.Find(cosine, atoms, factor.Rank, new SeededRandom(options.Seed, "basis.cluster"));
        var size = Enumerable.Range(0, clusters.Max() + 1).Select(c => clusters.Count(x => x == c)).ToArray();
        var sum = options.Merge == "sum";
        var encoder = Dense.Build(norm.Length, size.Length, (t, c) => clusters[t] != c ? 0 : sum ? 1 : 1.0 / size[c]);
        var decoder = options.DecoderOrDefault == "membership"
            ? Dense.Build(size.Length, norm.Length, (c, t) => clusters[t] != c ? 0 : sum ? 1.0 / size[c] : 1)
            : factor.ClosedForm(encoder);
        return new(encoder, decoder, HasMean: false, factor.Rank, Clusters: clusters);
    }

    /// <summary>
    /// See <see cref="Autoencoder"/>. The W reported is the best for the B that was trained, unless the trained one is asked for.
    /// </summary>
    private BasisSolution Train(int atoms)
    {
        var random = new SeededRandom(options.Seed, "basis.ae");
        var closed = options.DecoderOrDefault == "closed";
        var enough = (1.01 * factor.Bound(atoms)) + 1e-6;
        var (best, least) = (default(BasisSolution), double.PositiveInfinity);
        for (var start = 0; start < options.Starts && least > enough; start++)
        {
            var trained = new Autoencoder(gram.Value, atoms, options, random);
            trained.Train();
            var solution = new BasisSolution(trained.Encoder, trained.Decoder, HasMean: false, factor.Rank);
            var loss = BasisReport.Of(factor, solution).Loss;
            solution = solution with { TrainedLoss = loss };
            if (closed && double.IsFinite(loss))
            {
                solution = solution with { Decoder = factor.ClosedForm(solution.Encoder) };
                loss = BasisReport.Of(factor, solution).Loss;
            }

            (best, least) = loss < least ? (solution, loss) : (best, least);
        }

        return best ?? throw new BasisDivergedException();
    }

    /// <summary>The spectrum of JGJ: the mean taken out of every task.</summary>
    private (double[] Values, double[,] Vectors) Centred()
    {
        var rows = factor.Rows;
        var (count, tasks) = (rows.GetLength(0), factor.Tasks);
        var mean = new double[count];
        for (var k = 0; k < count; k++)
        {
            for (var t = 0; t < tasks; t++)
            {
                mean[k] += rows[k, t] / tasks;
            }
        }

        return GramFactor.Spectrum(Dense.Build(count, tasks, (k, t) => rows[k, t] - mean[k]));
    }

    /// <summary>Directions around the mean: against the tasks as they are, whose rounding theirs is.</summary>
    private int CentredRank()
    {
        var least = factor.Tasks * GramFactor.Tolerance * GramFactor.Tolerance;
        return factor.Rank == 0 ? 0 : centred.Value.Values.Count(x => x > factor.Eigenvalues[0] * least);
    }

    private static double[,] First(double[,] vectors, int count) =>
        Dense.Build(vectors.GetLength(0), count, (t, m) => vectors[t, m]);
}
