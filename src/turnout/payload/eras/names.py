"""The table of the era shim: names that libraries have dropped, and what stands in for each.

A rule is `module:attribute`; `module:`, the module itself; `.attribute`, of the same module, class
or object; or `own.FILE:NAME`, of a file beside this one. With `()` at its end it is called, and
what it returns stands in. A rule that leads nowhere leaves the library's own error.
"""

from __future__ import annotations


def same(module: str, names: str) -> dict[str, str]:
    """Names that are elsewhere now, unchanged."""
    return {name: "%s:%s" % (module, name) for name in names.split()}


def renamed(pairs: str) -> dict[str, str]:
    """Old and new names, by turns, of the same module."""
    words = pairs.split()
    return {old: "." + new for old, new in zip(words[::2], words[1::2])}


#: Part of Python, with its version.
STANDARD = ("base64", "collections", "configparser", "distutils", "fractions", "imp", "inspect",
            "locale", "pipes", "threading", "time", "xml")  # fmt: skip
TITLES = {"numpy": "NumPy", "scipy": "SciPy", "sklearn": "scikit-learn", "PIL": "Pillow",
          "skimage": "scikit-image", "imblearn": "imbalanced-learn"}  # fmt: skip

NUMPY = {
    **same("builtins", "bool int float complex object str"),
    "unicode": "builtins:str",
    "long": "builtins:int",
    **renamed("""
        float_ float64  complex_ complex128  cfloat complex128  singlecomplex complex64
        longfloat longdouble  longcomplex clongdouble  clongfloat clongdouble
        unicode_ str_  str0 str_  string_ bytes_  bytes0 bytes_  bool8 bool_  object0 object_
        void0 void  int0 intp  uint0 uintp
        Inf inf  Infinity inf  infty inf  PINF inf  NaN nan
        product prod  cumproduct cumprod  sometrue any  alltrue all  row_stack vstack
        round_ round  mat asmatrix  rank ndim  trapz trapezoid  issubsctype issubdtype
    """),
    **same("numpy.exceptions", "AxisError ComplexWarning ModuleDeprecationWarning RankWarning "
           "TooHardError VisibleDeprecationWarning"),
    **same("numpy_financial", "fv pv pmt ppmt ipmt nper rate irr npv mirr"),
    "NINF": "own.arrays:minus_infinity()",
    "NZERO": "own.arrays:minus_zero()",
    "PZERO": "own.arrays:zero()",
    "DataSource": "numpy.lib.npyio:DataSource",
    "alen": "builtins:len",
    "asfarray": "own.arrays:asfarray",
    "asscalar": "own.arrays:asscalar",
    "byte_bounds": "numpy.lib.array_utils:byte_bounds",
    "compare_chararrays": "numpy.char:compare_chararrays",
    "find_common_type": "own.arrays:find_common_type",
    "format_parser": "numpy.rec:format_parser",
    "in1d": "own.arrays:in1d",
    "issubclass_": "builtins:issubclass",
    "loads": "pickle:loads",
    "msort": "own.arrays:msort",
    "safe_eval": "ast:literal_eval",
    "sctypes": "own.arrays:sctypes()",
}  # fmt: skip

FRAME = {
    "append": "own.frames:frame_append",
    "applymap": ".map",
    "as_matrix": "own.frames:as_matrix",
    "backfill": ".bfill",
    "clip_lower": "own.frames:clip_lower",
    "clip_upper": "own.frames:clip_upper",
    "get_value": "own.frames:get_value",
    "get_values": ".to_numpy",
    "iteritems": ".items",
    "lookup": "own.frames:lookup",
    "mad": "own.frames:frame_mad",
    "pad": ".ffill",
    "set_value": "own.frames:set_value",
}
SERIES = {
    "append": "own.frames:series_append",
    "as_matrix": ".to_numpy",
    "backfill": ".bfill",
    "clip_lower": "own.frames:clip_lower",
    "clip_upper": "own.frames:clip_upper",
    "get_value": "own.frames:get_value",
    "get_values": ".to_numpy",
    "is_monotonic": ".is_monotonic_increasing",
    "iteritems": ".items",
    "mad": "own.frames:series_mad",
    "nonzero": "own.frames:nonzero",
    "pad": ".ffill",
    "ravel": ".to_numpy",
    "set_value": "own.frames:set_value",
    "valid": ".dropna",
}
WEEKS = {
    "week": "own.frames:week()",
    "weekofyear": "own.frames:week()",
    "weekday_name": ".day_name()",
}
PANDAS = {
    "TimeGrouper": "own.frames:time_grouper",
    "datetime": "datetime:datetime",
    "np": "numpy:",
    "scatter_matrix": "pandas.plotting:scatter_matrix",
    "value_counts": "own.frames:value_counts",
    **{"DataFrame." + name: rule for name, rule in FRAME.items()},
    **{"Series." + name: rule for name, rule in SERIES.items()},
    **{"DatetimeIndex." + name: rule for name, rule in WEEKS.items()},
    "Index.get_values": ".to_numpy",
    "Index.is_monotonic": ".is_monotonic_increasing",
}

WINDOWS = (
    "barthann bartlett blackman blackmanharris bohman boxcar chebwin cosine exponential flattop "
    "gaussian general_gaussian hamming hann kaiser nuttall parzen triang tukey"
)
SCIPY = same("numpy", """
    abs absolute all any append arange arccos arcsin arctan arctan2 argmax argmin argsort array
    asarray average c_ ceil clip concatenate corrcoef cos cosh cov cross cumsum diag diff dot e
    empty empty_like exp expand_dims eye fabs float32 float64 floor hstack identity inf int32 int64
    interp isfinite isinf isnan linspace log log10 log1p log2 logical_and logical_not logical_or
    logspace loadtxt matrix max maximum mean median meshgrid min minimum mod nan ndarray
    newaxis ones ones_like outer percentile pi poly1d polyfit polyval power prod r_ ravel real
    reshape savetxt shape sign sin sinh sort sqrt squeeze std sum tan tanh tile transpose
    unique var vstack where zeros zeros_like
""")  # fmt: skip
MISC = {
    **same("scipy.special", "comb factorial factorial2 factorialk logsumexp"),
    **same("scipy.datasets", "ascent electrocardiogram face"),
    **{name: "own.arrays:" + name for name in ("bytescale", "imread", "imresize", "imsave")},
}

#: Module → its gone names ("Class.name" for those of a class) → rule.
ATTRIBUTES = {
    "base64": renamed("encodestring encodebytes decodestring decodebytes"),
    "collections": same("collections.abc", """
        AsyncGenerator AsyncIterable AsyncIterator Awaitable ByteString Callable Collection
        Container Coroutine Generator Hashable ItemsView Iterable Iterator KeysView Mapping
        MappingView MutableMapping MutableSequence MutableSet Reversible Sequence Set Sized
        ValuesView
    """),
    "configparser": renamed("SafeConfigParser ConfigParser  ConfigParser.readfp read_file"),
    "fractions": {"gcd": "math:gcd"},
    "inspect": {"getargspec": "own.python:getargspec"},
    "locale": renamed("format format_string"),
    "threading": renamed("Thread.isAlive is_alive"),
    # The seconds of the processor, as on Linux.
    "time": renamed("clock process_time"),

    "numpy": NUMPY,
    "numpy.linalg": renamed("linalg _linalg"),
    "pandas": PANDAS,
    "pandas.core.common": same("pandas.errors", "SettingWithCopyWarning"),
    "pandas.core.indexes.accessors": {
        "DatetimeProperties." + name: rule for name, rule in WEEKS.items()
    },
    "pandas.compat": same("io", "StringIO BytesIO"),
    "pandas.errors": {"SettingWithCopyWarning": "own.frames:SettingWithCopyWarning"},
    "pandas.io.json": same("pandas", "json_normalize"),
    "scipy": {**SCIPY, **same("numpy.random", "rand randn")},
    "scipy.integrate": renamed("trapz trapezoid cumtrapz cumulative_trapezoid simps simpson"),
    "scipy.linalg": {**same("numpy", "kron tri tril triu"), **renamed("pinv2 pinv")},
    "scipy.misc": MISC,
    "scipy.signal": {
        **same("scipy.signal.windows", WINDOWS), "hanning": "scipy.signal.windows:hann"
    },
    "scipy.stats": {
        **same("numpy", "nanmean nanmedian nanstd"),
        "binom_test": "own.arrays:binom_test",
        "chisqprob": "scipy.stats:chi2.sf",
        "itemfreq": "own.arrays:itemfreq",
        "median_absolute_deviation": "own.arrays:median_absolute_deviation",
    },
    "sklearn.covariance": renamed(
        "GraphLasso GraphicalLasso GraphLassoCV GraphicalLassoCV graph_lasso graphical_lasso"
    ),
    "sklearn.feature_extraction": {
        "DictVectorizer.get_feature_names": "own.learning:get_feature_names"
    },
    "sklearn.feature_extraction.text": {
        "CountVectorizer.get_feature_names": "own.learning:get_feature_names"
    },
    "sklearn.inspection": {
        "plot_partial_dependence": "sklearn.inspection:PartialDependenceDisplay.from_estimator"
    },
    "sklearn.metrics": {
        "SCORERS": "own.learning:scorers()",
        **renamed("""
            calinski_harabaz_score calinski_harabasz_score
            plot_confusion_matrix ConfusionMatrixDisplay.from_estimator
            plot_precision_recall_curve PrecisionRecallDisplay.from_estimator
            plot_roc_curve RocCurveDisplay.from_estimator
        """),
    },
    "sklearn.metrics._scorer": {"SCORERS": "own.learning:scorers()"},
    "sklearn.preprocessing": {
        "Imputer": "own.learning:imputer",
        "OneHotEncoder.get_feature_names": ".get_feature_names_out",
        "PolynomialFeatures.get_feature_names": "own.learning:get_feature_names",
    },
    "sklearn.utils": renamed("safe_indexing _safe_indexing"),

    "IPython.core.display": same("IPython.display", "HTML Image Markdown clear_output display"),
    "PIL.Image": renamed("ANTIALIAS LANCZOS LINEAR BILINEAR CUBIC BICUBIC"),
    "PIL.ImageDraw": {"ImageDraw.textsize": "own.learning:textsize"},
    "PIL.ImageFont": {"FreeTypeFont.getsize": "own.learning:getsize"},
    "h5py": {"Dataset.value": "own.learning:whole()"},
    "imblearn.base": renamed("SamplerMixin.fit_sample fit_resample"),
    "keras.utils": {"np_utils": "keras.utils:"},
    "matplotlib.cbook": same("numpy", "iterable"),
    "matplotlib.cm": same("matplotlib.pyplot", "get_cmap"),
    "matplotlib.mlab": {"normpdf": "own.learning:normpdf"},
    "networkx": renamed("Graph.node nodes from_pandas_dataframe from_pandas_edgelist"),
    "seaborn": {"factorplot": "own.learning:factorplot"},
    "skimage.measure": {
        "compare_mse": "skimage.metrics:mean_squared_error",
        "compare_nrmse": "skimage.metrics:normalized_root_mse",
        "compare_psnr": "skimage.metrics:peak_signal_noise_ratio",
        "compare_ssim": "skimage.metrics:structural_similarity",
    },
    "torchvision.transforms": renamed("Scale Resize RandomSizedCrop RandomResizedCrop"),
}  # fmt: skip

#: Modules of scikit-learn 0.21 and what each is called since.
SKLEARN = """
    cluster: affinity_propagation_ _affinity_propagation birch _birch dbscan_ _dbscan
        hierarchical _agglomerative k_means_ _kmeans mean_shift_ _mean_shift spectral _spectral
    covariance: elliptic_envelope _elliptic_envelope empirical_covariance_ _empirical_covariance
        graph_lasso_ _graph_lasso
    datasets: base _base california_housing _california_housing lfw _lfw
        samples_generator _samples_generator svmlight_format _svmlight_format_io
        twenty_newsgroups _twenty_newsgroups
    decomposition: base _base dict_learning _dict_learning factor_analysis _factor_analysis
        fastica_ _fastica incremental_pca _incremental_pca kernel_pca _kernel_pca nmf _nmf
        online_lda _lda pca _pca sparse_pca _sparse_pca truncated_svd _truncated_svd
    ensemble: bagging _bagging base _base forest _forest gradient_boosting _gb iforest _iforest
        voting _voting voting_classifier _voting weight_boosting _weight_boosting
    feature_extraction: dict_vectorizer _dict_vectorizer hashing _hash stop_words _stop_words
    feature_selection: base _base from_model _from_model mutual_info_ _mutual_info rfe _rfe
        univariate_selection _univariate_selection variance_threshold _variance_threshold
    gaussian_process: gpc _gpc gpr _gpr
    inspection: partial_dependence _partial_dependence
    linear_model: base _base bayes _bayes coordinate_descent _coordinate_descent huber _huber
        least_angle _least_angle logistic _logistic omp _omp
        passive_aggressive _passive_aggressive perceptron _perceptron ransac _ransac ridge _ridge
        sag _sag stochastic_gradient _stochastic_gradient theil_sen _theil_sen
    manifold: isomap _isomap locally_linear _locally_linear mds _mds
        spectral_embedding_ _spectral_embedding t_sne _t_sne
    metrics: classification _classification ranking _ranking regression _regression scorer _scorer
    metrics.cluster: supervised _supervised unsupervised _unsupervised
    mixture: base _base bayesian_mixture _bayesian_mixture gaussian_mixture _gaussian_mixture
    neighbors: base _base classification _classification kde _kde lof _lof
        nearest_centroid _nearest_centroid regression _regression unsupervised _unsupervised
    neural_network: multilayer_perceptron _multilayer_perceptron rbm _rbm
    preprocessing: data _data label _label
    semi_supervised: label_propagation _label_propagation
    svm: base _base classes _classes
    tree: export _export tree _classes
    utils: mocking _mocking testing _testing
"""


def sklearn_modules() -> dict[str, str]:
    found: dict[str, str] = {}
    package = old = ""
    for word in SKLEARN.split():
        if word.endswith(":"):
            package = "sklearn." + word[:-1]
        elif not old:
            old = word
        else:
            found["%s.%s" % (package, old)] = "%s.%s" % (package, word)
            old = ""
    return found


MODEL_SELECTION = "sklearn.model_selection"
#: Gone module → what it is called now (the first of several that is there), or, where its names
#: are in several places or some have no successor, a rule for each name that has one.
MODULES = {
    "distutils": {},
    "distutils.dir_util": {
        "copy_tree": "own.python:copy_tree",
        "mkpath": "own.python:mkpath",
        "remove_tree": "own.python:remove_tree",
    },
    "distutils.spawn": {"find_executable": "shutil:which"},
    "distutils.sysconfig": {
        "get_python_inc": "own.python:get_python_inc",
        "get_python_lib": "own.python:get_python_lib",
        **same("sysconfig", "get_config_var get_config_vars"),
    },
    "distutils.util": {
        "get_platform": "sysconfig:get_platform",
        "strtobool": "own.python:strtobool",
    },
    "distutils.version": {
        "LooseVersion": "own.python:LooseVersion", "StrictVersion": "own.python:StrictVersion"
    },
    "imp": {
        "load_source": "own.python:load_source",
        "new_module": "types:ModuleType",
        "reload": "importlib:reload",
    },
    "pipes": {"quote": "shlex:quote"},
    "xml.etree.cElementTree": "xml.etree.ElementTree",

    "keras.layers.advanced_activations": "keras.layers",
    "keras.layers.convolutional": "keras.layers",
    "keras.layers.core": "keras.layers",
    "keras.layers.embeddings": "keras.layers",
    "keras.layers.merge": "keras.layers",
    "keras.layers.normalization": "keras.layers",
    "keras.layers.pooling": "keras.layers",
    "keras.layers.recurrent": "keras.layers",
    "keras.utils.np_utils": "keras.utils",
    "numpy.lib.arraysetops": "numpy.lib._arraysetops_impl",
    "numpy.lib.function_base": "numpy.lib._function_base_impl",
    "numpy.lib.index_tricks": "numpy.lib._index_tricks_impl",
    "numpy.lib.nanfunctions": "numpy.lib._nanfunctions_impl",
    "numpy.linalg.linalg": "numpy.linalg._linalg",
    "numpy.testing.utils": "numpy.testing",
    "pandas.core.index": same("pandas", "CategoricalIndex DatetimeIndex Index MultiIndex"),
    "pandas.tools": {},
    "pandas.tools.plotting": "pandas.plotting",
    "pandas.util.testing": "pandas._testing pandas.testing",
    "scipy.misc": MISC,
    "sklearn.cross_validation": same(
        MODEL_SELECTION,
        "cross_val_predict cross_val_score permutation_test_score train_test_split",
    ),
    "sklearn.externals": {},
    "sklearn.externals.joblib": "joblib",
    "sklearn.externals.six": {
        **same("io", "BytesIO StringIO"),
        "iteritems": "own.python:iteritems",
        "string_types": "own.python:string_types()",
    },
    "sklearn.grid_search": same(
        MODEL_SELECTION, "GridSearchCV ParameterGrid ParameterSampler RandomizedSearchCV"
    ),
    "sklearn.lda": {"LDA": "sklearn.discriminant_analysis:LinearDiscriminantAnalysis"},
    "sklearn.learning_curve": same(MODEL_SELECTION, "learning_curve validation_curve"),
    "sklearn.preprocessing.imputation": {"Imputer": "own.learning:imputer"},
    "sklearn.qda": {"QDA": "sklearn.discriminant_analysis:QuadraticDiscriminantAnalysis"},
    "sklearn.utils.linear_assignment_": {"linear_assignment": "own.learning:linear_assignment"},
    **sklearn_modules(),
    "torch._six": {
        "container_abcs": "collections.abc:",
        "inf": "math:inf",
        "int_classes": "builtins:int",
        "string_classes": "own.python:string_classes()",
    },
    "torchvision.models.utils": same("torch.hub", "load_state_dict_from_url"),
}  # fmt: skip
