"""Java for the peers that are written in it: their jars, by the same loader as the broker's, and their compiler."""

import os
from pathlib import Path

from ops.kafka import jars

# What jgo.resolve says of connect-runtime, connect-file, kafka-streams and org.eclipse.jdt:ecj, the compiler, beyond
# the broker's own jars; without RocksDB (73 MB), as no store is kept.
_BEYOND_THE_BROKER: jars.Jars = {
    "org.apache.kafka": {
        "connect-runtime:4.3.0": "9c4a4a815302a23db37785729594f6362719fda62e6a74d812d1e2719995ec99",
        "connect-file:4.3.0": "07de275f018451aeda20882e282bdfc207be65ba01568e28e291530f052701ee",
        "connect-api:4.3.0": "7938f71e76e3b03cfba284a987a07d925533710166499264652e05eaba709429",
        "connect-json:4.3.0": "4af42f973b7ed4def6d394055e9b46ea7da38f69c9d5a45fa4614b492a01ad2e",
        "connect-transforms:4.3.0": "a1b6b347e26997e4e5ede01752a9ac572e8d938b48bf3a4b22c27890dca65b7e",
        "kafka-streams:4.3.0": "aa3a70c72cb04c72eabcf6d04762c3a3ca8522e93654eca9180e7877172433c4",
    },
    "com.fasterxml.jackson.jakarta.rs": {
        "jackson-jakarta-rs-json-provider:2.21.2": "ca969ea798efedc4b56589505fab51eb69c11a361b2e7583855593fc8690a666",
        "jackson-jakarta-rs-base:2.21.2": "40f4c57a2e6f34505338da188724e7ace7b343dde3964b76a12c993cdedad1af",
    },
    "org.glassfish.jersey.containers": {
        "jersey-container-servlet:3.1.10": "4aadc66d2d36afb273b3898581d6aa51e0f992308d56fd51b8e3201efa461f67",
        "jersey-container-servlet-core:3.1.10": "fd15e7e37215d772ccdae8d4076c41a11ad3fec9ca88a1f8a8f6dacf4663bb69",
    },
    "org.glassfish.jersey.inject": {
        "jersey-hk2:3.1.10": "00ed71c496a856ac1f73272482a7abe27b5a96b823c29cc08f4b708c8d3e647e",
    },
    "javax.xml.bind": {
        "jaxb-api:2.3.1": "88b955a0df57880a26a74708bc34f74dcaf8ebf4e78843a28b50eae945732b06",
    },
    "javax.activation": {
        "activation:1.1.1": "ae475120e9fcd99b4b00b38329bd61cdc5eb754eee03fe66c01f50e137724f99",
        "javax.activation-api:1.2.0": "43fdef0b5b6ceb31b0424b208b930c74ab58fac2ceeb7b3f6fd3aeb8b5ca4393",
    },
    "org.eclipse.jetty": {
        "jetty-server:12.0.34": "fb7a1401b7b2358e9cb975764c54fac72fcecd7ae5199369041118603cd3fd7d",
        "jetty-client:12.0.34": "b77b7535a809c78af71126b90aed0836cc9f9ac80d32e5cbf7a07025ace14401",
        "jetty-http:12.0.34": "63890ecc5bb8bf26c4dd0952ef2d0d3dd3f7434b37b21e51f7ea8dfbe96b9dc0",
        "jetty-io:12.0.34": "3704daeb82b39041ee5e6f810636c2fcb9a10476cdbf0fd067e584ed3110d66a",
        "jetty-security:12.0.34": "e9a595eff775859a5461c0ce05e27ace5182ee1fdc1b17016453fa41ca0e1560",
        "jetty-session:12.0.34": "a161ae531c5d6a695f17a547fdf90746dcd929f1abac5c60c7061a6fb20d346f",
        "jetty-util:12.0.34": "3f8906cd72428d87dbbc0bd915192ce0f426e9db7805d3b0337588c1b6d7206e",
        "jetty-alpn-client:12.0.34": "dde78ab533961bb853a8ce5a23a90d4dd54cd6522e9e7f90566ca7f44e035ef9",
    },
    "org.eclipse.jetty.ee10": {
        "jetty-ee10-servlet:12.0.34": "08030501c5868ba348e0e349121cb3493586c29d438c725bf76b0559e8d5f5ed",
        "jetty-ee10-servlets:12.0.34": "bf9fe841e09f39d498838965b57e52b79f12e7bd5e259e645cc9e0a6cbe96426",
    },
    "io.github.classgraph": {
        "classgraph:4.8.179": "16558357f234052370109127a45d69a9bd6d8646925594792634486dc48b159d",
    },
    "org.apache.maven": {
        "maven-artifact:3.9.15": "f154c31f15ac97c37b9cdf9f8d63cde5053c470d2daf54df7dfd3bb3c9e501c6",
    },
    "io.swagger.core.v3": {
        "swagger-annotations:2.2.39": "ea3017076809f8104ff8a130dc4c12db8c67595aa1d978104a9beca8277a7d29",
    },
    "jakarta.ws.rs": {
        "jakarta.ws.rs-api:3.1.0": "6b3b3628b8b4aedda0d24c3354335e985497d8ef3c510b8f3028e920d5b8663d",
    },
    "com.fasterxml.jackson.module": {
        "jackson-module-blackbird:2.21.2": "5ed62cdcd357a24b73de9280e167aa014d7b4c17d04823844d482274cf07097e",
        "jackson-module-jakarta-xmlbind-annotations:2.21.2": "f507551c823b137c8487275fc171652a78a4f083732e349e1d3cb42e568dd7e4",  # noqa: E501
    },
    "org.glassfish.jersey.core": {
        "jersey-common:3.1.10": "b8df5de87d48d6abf555f340755a056c8cb29a660af958e959db8a4cb3552b54",
        "jersey-server:3.1.10": "1b33a9be417b72f7ceef3afe9780781b66122b0f1db78f2f82502988072cfab0",
        "jersey-client:3.1.10": "96cf86c23b515da20a30a39633a920f12a420d1e5f02c55ef5577ca2694d11c6",
    },
    "org.glassfish.hk2": {
        "hk2-locator:3.0.6": "e2664d21b017c3aa1518b913264602bea604edc54d356103c10afba99abd04fc",
        "osgi-resource-locator:1.0.3": "aab5d7849f7cfcda2cc7c541ba1bd365151d42276f151c825387245dfde3dd74",
        "hk2-api:3.0.6": "c049a21a9fd9316c7e291a2bc28835f70d25affb623dc1599a83b6b84ec83a4f",
        "hk2-utils:3.0.6": "fc84d85a0744b576d9ec7db5845eeb998ed532a9450dd19c8c922c3ee6926206",
    },
    "org.javassist": {
        "javassist:3.30.2-GA": "eba37290994b5e4868f3af98ff113f6244a6b099385d9ad46881307d3cb01aaf",
    },
    "jakarta.servlet": {
        "jakarta.servlet-api:6.0.0": "c034eb1afb158987dbb53a5fea0cadf611c8dae8daadd59c44d9d5ab70129cef",
    },
    "org.codehaus.plexus": {
        "plexus-utils:3.6.1": "05a63effd67e2d6b9d610cc82e2bd7473289d34802e57a529b28110f28af5679",
    },
    "jakarta.xml.bind": {
        "jakarta.xml.bind-api:3.0.1": "b8fb4bee3ff5b5c1ef77144d8411316018d7bbd41fcf1ede0646f7978546b867",
    },
    "jakarta.activation": {
        "jakarta.activation-api:2.1.0": "56e8d994095fe49c28138c60291482f66f18d12ac2b720e938697dce6a3135c7",
    },
    "jakarta.inject": {
        "jakarta.inject-api:2.0.1": "f7dc98062fccf14126abb751b64fab12c312566e8cbdc8483598bffcea93af7c",
    },
    "jakarta.annotation": {
        "jakarta.annotation-api:2.1.1": "5f65fdaf424eee2b55e1d882ba9bb376be93fb09b37b808be6e22e8851c909fe",
    },
    "jakarta.validation": {
        "jakarta.validation-api:3.0.2": "291c25e6910cc6a7ebd96d4c6baebf6d7c37676c5482c2d96146e901b62c1fc9",
    },
    "org.glassfish.hk2.external": {
        "aopalliance-repackaged:3.0.6": "a82b6d1a348324ef88dc807c7cd7aaf633985cbff7b30036fb61a1b86981d840",
    },
    "com.sun.activation": {
        "jakarta.activation:2.0.1": "b9e24b7dd6e07495562ea96531be3130c96dba4d78e1dfd88adbbdebf4332871",
    },
    "org.eclipse.jdt": {
        "ecj:3.46.100": "74c93172475fee0cd4e6eefb44233516dd40525642da35d009146d97ea598229",
    },
}


def command(main: str, *arguments: str, classes: Path | None = None) -> list[str]:
    """Return the command that runs a main class: of the jars, or of `classes`."""
    own = [str(classes)] if classes else []
    classpath = [*own, jars.classpath(), jars.classpath(_BEYOND_THE_BROKER)]
    return [
        str(jars.java()),
        *("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC", "-XX:-UsePerfData"),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        *("-cp", os.pathsep.join(classpath), main, *arguments),
    ]


def compiler(classes: Path, source: str) -> list[str]:
    """Return the command that compiles a source into a folder."""
    arguments = ("-25", "-nowarn", "-d", str(classes), source)
    return command("org.eclipse.jdt.internal.compiler.batch.Main", *arguments)
