"""The table of the data sets: where each comes from, its size and labels, and the sha256 of its content."""

from typing import NamedTuple, TypeVar

LIBSVM_URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
BAYDIN_URL = "https://raw.githubusercontent.com/gbaydin/hypergradient-descent/master/results/"

T = TypeVar("T")


class DataError(LookupError):
    """A data set is unknown, missing, damaged or out of reach; the message says which and what to do."""


class Entry(NamedTuple):
    """A classification set of the registry.

    rows, features   its true size
    largest_index    the largest feature index that occurs in the file, which is all that a reader of the file can know
    labels           the two labels as they stand in the file, the one to become -1 first
    sha256           of the lines of the file, see `text_digest`; empty for a set that scikit-learn bundles
    source           where it comes from
    """

    name: str
    rows: int
    features: int
    largest_index: int
    labels: tuple[int, ...]
    sha256: str
    source: str


# The LIBSVM collection, binary classification: name, rows, features, largest index in the file, the two labels, sha256.
# w2a, a6a, w5a, skin_nonskin, liver-disorders_scale and splice(_scale) were hashed from copies whose rows are exact but
# whose bytes were put together again; should the site's file differ in order or spelling, its download is refused.
_LIBSVM = """
a1a                     1605   123   119  -1  1 4e013dd5fbfef8c648b97271e2b63548be30330187c770c351573df2f344f979
a2a                     2265   123   119  -1  1 15f830fbeeb6cf737548d9d558d60438348f2f74fc89f278c373f1a63b9bceea
a3a                     3185   123   122  -1  1 cbed347b84572bf3432f9e44fcb122a61998e754d1433ffe47b2c88b809f3af9
a4a                     4781   123   122  -1  1 9209be5dde38c5736e2de7be0050fc461dcf65f729c786e0ed43ada87529f81c
a6a                    11220   123   122  -1  1 797c23d621e14592ecf95abd825a900e47fe57b8344e4d481096241172557309
a7a                    16100   123   122  -1  1 c39ceb64b20a66f05d1bb559907c67919ad2d6aef01e1608371a96244f86a28c
a8a                    22696   123   123  -1  1 d196f11c0db92a460316bf7f87c551106304f05c0b66180c19d463a43a5bd1a6
a9a                    32561   123   123  -1  1 4a64288fba73c4362cf066e219c35663b450f1658867b7ed7bcc1f6accfc4949
a9a.t                  16281   123   122  -1  1 506954ec230f3de29ee7ba703521446f458e81ecc317a9661ddc10d908e9d6f0
w1a                     2477   300   300  -1  1 a1fd3402ba268eda2c41f17a3dfcc48f4908d9b6fa9ccc52c189ae94326bafa9
w2a                     3470   300   300  -1  1 a6b2eb173b58916f044df71f61ae65c75f1276f609417a57361afb8587b62765
w3a                     4912   300   300  -1  1 c340dea1abe0436c8d0f77148a51d2d5cf67c846fbf0b8d21a6e7f034547ae7a
w5a                     9888   300   300  -1  1 2a780d39c0b0c7f2d66cd9a514a097efbb01fcb27778a90be78a4156068d476d
w7a                    24692   300   300  -1  1 bd4e3734d74d935a3e3b6e15413b67ab3362e058ad3992052a4e2dc35a74c2c5
w8a                    49749   300   300  -1  1 434eb5fdfe5ab0f759922fe58473326dbccaf16342ae874ac295d99322b44274
w8a.t                  14951   300   300  -1  1 7b896e1081ddcfc3f06365722430c6fcbb43a75fccd62f7ed0509788c7004dda
australian               690    14    14  -1  1 68f0210ada935269697a190951350e4d44147d93bbcdeaa3f2b722e4305890d4
australian_scale         690    14    14  -1  1 3120c7ae395dceea8e90202538b942aa85f203ee27f57f289188a87c2a464017
breast-cancer            683    10    10   2  4 5d7e173139fe06c415281cfe8e1714b2ecf48c164cbae82b0f8d0dc305c4ef3d
breast-cancer_scale      683    10    10   2  4 9c7faef5606578c870a7730b45981014ea989e968bec63f3445661b8cd5c2ee8
colon-cancer              62  2000  2000  -1  1 9ed8a3912558ee78bb9a16c036c455d6c594276f85234e00db2adacf06266d86
diabetes                 768     8     8  -1  1 eb482976f632eb53b995fa6e160829aeeff1991ca42b8c303d24fb2fb4d80551
diabetes_scale           768     8     8  -1  1 306120781f6c4492d8fe5b30de92838d97b6e2a409e048720a7311469cb70e76
duke                      44  7129  7129  -1  1 af8d651f3f263d334c47e8364528b3b730db7b98301845979cf4c8d53e4804be
fourclass                862     2     2  -1  1 7b45fa15671a08be69ca638e5f9fe30a522959ca8fb494b2ac305bb2517ba239
fourclass_scale          862     2     2  -1  1 cd295ef2cf54b92ff548af5a3ac6fb5eebaff27b2470d25c4e9af4bc793bc2ca
german.numer            1000    24    24  -1  1 45420c05c66ee7503ff2c5b428c3dc232f089429a6a218c6fb22c084b066dec8
german.numer_scale      1000    24    24  -1  1 e26357228dd24307f55aafc9a9e121414e39c7fbf4707df15567d761a62ae865
heart                    270    13    13  -1  1 3ad6b87b14e0f268a83608e211409fc13b6afa52179db92bb89ccfaf089a7fff
heart_scale              270    13    13  -1  1 b6c40e69bf693916926ab98913c9510389af26062323881c8b5c58fb1eec2e76
ionosphere_scale         351    34    34  -1  1 dcdfc737536c1e0fe648afc1608a0df4444b8b27fefcacf281bb6ba942c94866
leu                       38  7129  7129  -1  1 503de1684efac544fdeb799cd675af422632e94f6edea4d98263b417f99d395c
liver-disorders_scale    145     5     5   0  1 5313c042b96cc24c4090cfbcc33f527535899ca216abfb14401a15af1f57de91
mushrooms               8124   112   112   1  2 a082183b372d8ddd8bf84542785952fb53c86cee7ea5e4399cb4ed0f3d5132c5
phishing               11055    68    68   0  1 0b0ca40e17bc95e909bfa587c408bf69904571ace01dea26e34cafc464f2da93
skin_nonskin          245057     3     3   1  2 0c11c5dfacc3212ebd1d64faad5b6f58218e2142cf7c89ac6c60bd84e5038f68
sonar_scale              208    60    60  -1  1 760b95d79272dd324790266c8cd4f7d1a872098760db90b854e3ce166e090167
splice                  1000    60    60  -1  1 4d5bfacef5c732692156b24bf53530f800f15f5110fe49105558df88d4957810
splice_scale            1000    60    60  -1  1 9842c1af5ae668c5d6609574cc19a31eebfbe7a44bdfece287a6d685dcaa1b33
svmguide1               3089     4     4   0  1 6af4ac2c8dff259b69186ba7f04f6f11ba883f864a8203eb39dfd8361b92d380
svmguide3               1243    22    22  -1  1 088bbc9e241f27a4f5f31fb7aac6c035e77ebd73219401717eefd7d194ce278b
"""

_COMPRESSED_ON_SITE = {"colon-cancer", "duke", "leu"}

MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# Published curves of Baydin et al. 2018. logreg/ is the authors' own, and logreg_epochs its epoch rows; mlp/ is theirs
# thinned to the first 600 steps, each 50th step and the epoch rows (adam_hd: epoch rows read from their vector plot),
# *_begin to 20 steps and the end of epoch 1; paper_figures/ holds readings of the figures; independent_rerun_2025/
# another run of the authors' script. Only logreg/ can be fetched.
CURVES = {
    "independent_rerun_2025/logreg_epochs": "4dd2649ec6b43a0f49175455ca7ce2d659704d30884d1be0f8460fd951e26d32",
    "logreg/adam": "536b3ae202328dbf01d40831b0df7df1900b8ef3974fe1f5fe9585316b98edf8",
    "logreg/adam_hd": "5da7738570a29ad51517946172fd7cd5248a4a53eaa17e0491176f526cdbab68",
    "logreg/sgd": "9c662473035a106b2b138a80e411af953ce94de08f8b515aec152ccf0c851cdc",
    "logreg/sgd_hd": "ecd4eac906d43f352d8e413a3a27bebf8f5f52b3088ea9255fc583cc69609cd3",
    "logreg/sgdn": "cd6babcf68621e127a040c36a0766fbba5b46ebb137395bf5bdfe16861a80e42",
    "logreg/sgdn_hd": "725b9114e5a7727cd55c7be637a241b53771d32cbe8bba7d1813eb260de97d35",
    "logreg_epochs": "c893e51884fc2437a911d650327410dbe7fe243c6e9f300238fb8c63dd73da90",
    "mlp/adam": "0dcbf87a3a4f453aed3bebb269c3131fd61c3f763156141ba06b7531696e317a",
    "mlp/adam_hd_epochs_recovered": "637bf3a7d54a6c5c6f50ec9c4c18b196151b0892fa116542d4ee3f27a91bd86d",
    "mlp/sgd": "32fd149db4822c01105048734da239cd170e193d31e73d9ce42f5f4add566322",
    "mlp/sgd_hd": "e53af60146429b3f68f8432dab2e4c33a2421a28897a1b3a8073f5fa657bf18b",
    "mlp/sgd_hd_begin": "cb3ba1ecc225ef6d516f83cf7d1311ef92f472ee7a10149eb625588d6bc6ab6d",
    "mlp/sgdn": "5305becd99d6930f756adebc0cb657f86a63108154b833fb1f6e88a52b87ee14",
    "mlp/sgdn_hd": "c52739b3e2902985b518d01309553f6196a380a2c702ae3f38b4e28f6aea65e7",
    "mlp/sgdn_hd_begin": "a8eda177b464f47677aeb4e6efb1817495b194208641e39b8db0e19ac588dd7d",
    "paper_figures/fig2_epochs": "164b9ac6f584ec8275ea268882f78e76c688194580e93bace045e5d9b851c7b0",
    "paper_figures/fig3_epochs": "c2cfdc0b3c66fa51ba2fca5eeb1a7faa94666ece762b1484c27bdbc0935680d2",
    "paper_figures/fig4_grid": "584950715e5f7eb22df9bdfce70b3d655a3050635e73680d906c60b924fc799d",
}

REGISTRY: dict[str, Entry] = {
    name: Entry(
        name,
        int(rows),
        int(features),
        int(largest_index),
        (int(negative), int(positive)),
        sha256,
        LIBSVM_URL + name + (".bz2" if name in _COMPRESSED_ON_SITE else ""),
    )
    for name, rows, features, largest_index, negative, positive, sha256 in map(str.split, _LIBSVM.strip().splitlines())
} | {
    "breast_cancer": Entry("breast_cancer", 569, 30, 30, (0, 1), "", "scikit-learn, load_breast_cancer"),
    "digits": Entry("digits", 1797, 64, 64, tuple(range(10)), "", "scikit-learn, load_digits"),
}
"""Every classification set by name."""


def look_up(name: str, table: dict[str, T], kind: str) -> T:
    """The entry of a name; DataError, which lists the names, for another."""
    if name not in table:
        raise DataError(f"no {kind} is called {name!r}; known are {', '.join(table)}")
    return table[name]
